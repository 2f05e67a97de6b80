"""Deliveries to topics and to their subscribers (SNS developer guide, "HTTP/HTTPS notification headers")."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from monitor.api.sns.publish import fan_out
from monitor.clock import Clock, Ids
from monitor.control.channels import Commands, Failed, Http, Mail
from monitor.model.delivery import Delivery
from monitor.model.state import Change, State
from monitor.model.topic import COMMAND, EMAIL, HTTP, HTTPS, Subscription
from monitor.rules.notification import confirmation, notification

_SUBSCRIPTION_PARTS = 7  # an ARN's: a topic's has one less
_ALARM = "arn:aws:cloudwatch:"


class Notifier:
    """`endpoint`: where confirmations come back to us."""

    def __init__(
        self, state: State, clock: Clock, ids: Ids, http: Http, mail: Mail, commands: Commands, endpoint: str
    ) -> None:
        self._state, self._clock, self._ids, self._endpoint = state, clock, ids, endpoint
        self._http, self._mail, self._commands = http, mail, commands

    def lane(self, delivery: Delivery) -> str:
        subscription = self._state.subscriptions.get(delivery.target)
        if subscription is None:
            return delivery.target
        if subscription.protocol in (HTTP, HTTPS):
            return urlsplit(subscription.endpoint).netloc
        return subscription.protocol

    async def __call__(self, delivery: Delivery) -> Sequence[Change]:
        if delivery.target.count(":") + 1 < _SUBSCRIPTION_PARTS:
            return self._to_topic(delivery)
        subscription = self._state.subscriptions.get(delivery.target)
        if subscription is None:
            raise Failed("the subscription is gone", is_final=True)
        if "SubscribeURL" in delivery.about:
            await self._ask(subscription, delivery)
        else:
            await self._to_subscriber(subscription, delivery)
        return ()

    def _to_topic(self, delivery: Delivery) -> Sequence[Change]:
        if delivery.target not in self._state.topics:
            raise Failed("Topic does not exist", is_final=True)
        about = dict(delivery.about)
        if delivery.origin.startswith(_ALARM):
            about["alarm"] = delivery.origin
        now = self._clock.now()
        return fan_out(self._state, delivery.target, delivery.payload, about, now, self._ids)

    async def _ask(self, s: Subscription, delivery: Delivery) -> None:
        url = delivery.about["SubscribeURL"]
        if s.protocol in (HTTP, HTTPS):
            body = confirmation(s, delivery.about["MessageId"], delivery.created_at, url)
            await self._post(s, delivery, json.dumps(body), "SubscriptionConfirmation")
        else:
            text = f"You have chosen to subscribe to the topic {s.topic_arn}.\n\nTo confirm, open {url}\n"
            await self._mail.send(s.endpoint, "Subscription confirmation", text)

    async def _to_subscriber(self, s: Subscription, delivery: Delivery) -> None:
        about = delivery.about
        leave = f"{self._endpoint}/?Action=Unsubscribe&SubscriptionArn={s.arn}&Token={s.token}"
        whole = json.dumps(
            notification(s, delivery.payload, about, delivery.created_at, leave), ensure_ascii=False
        )
        if s.protocol in (HTTP, HTTPS):
            await self._post(s, delivery, delivery.payload if s.is_raw else whole, "Notification")
        elif s.protocol == COMMAND:
            environment = {"MOORWATCH_TOPIC_ARN": s.topic_arn, "MOORWATCH_SUBJECT": about.get("Subject", "")}
            await self._commands.run(s.endpoint, delivery.payload if s.is_raw else whole, environment)
        else:
            text = f"{delivery.payload}\n\n--\nTo stop: {leave}\n" if s.protocol == EMAIL else whole
            topic = s.topic_arn.rsplit(":", 1)[-1]
            await self._mail.send(s.endpoint, about.get("Subject") or f"Notification of {topic}", text)

    async def _post(self, s: Subscription, delivery: Delivery, text: str, kind: str) -> None:
        headers = {
            "content-type": "text/plain; charset=UTF-8",
            "user-agent": "Moorwatch Simple Notification",
            "x-amz-sns-message-type": kind,
            "x-amz-sns-message-id": delivery.about.get("MessageId", delivery.id),
            "x-amz-sns-topic-arn": s.topic_arn,
        }
        if kind == "Notification":
            headers["x-amz-sns-subscription-arn"] = s.arn
            if s.is_raw:
                headers["x-amz-sns-rawdelivery"] = "true"
        await self._http.send("POST", s.endpoint, text.encode("utf-8", "replace"), headers)
