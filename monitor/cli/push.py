"""`moorwatch push`: the same metrics elsewhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.api import Api, ApiUnreachable
from monitor.cli.session import OK, Failure, begin, state_option
from monitor.rules.forward import NAMESPACES, PREFIX, Entry, called, calls, entries, steps

if TYPE_CHECKING:
    from monitor.wire.aws import RealCloudWatch

FIRST_SECONDS, MOST_SECONDS, TRIES_ONCE, EVERY_SECONDS = 1.0, 60.0, 5, 60.0


@click.group()
def push() -> None:
    """Send metrics on to another system."""


@push.command()
@click.option("--region", help="The AWS region to send to [default: that of your AWS configuration].")
@click.option(
    "--namespace-prefix",
    "prefix",
    default=PREFIX,
    show_default=True,
    help="AWS/ECS goes as PREFIX/ECS, ECS/ContainerInsights as PREFIX/ContainerInsights: AWS keeps AWS/... to itself.",
)
@click.option("--once", is_flag=True, help="Send what there is, then end.")
@click.option("--endpoint-url", help="Another endpoint than AWS's own for the region.")
@state_option
def cloudwatch(
    region: str | None, prefix: str, once: bool, endpoint_url: str | None, state: str | None
) -> int:
    """Send the metrics of ECS and Container Insights to the real CloudWatch, with your own AWS credentials.

    Each minute is sent two minutes after its end. How far it came is kept in the state folder: after a break it goes on
    from there, at most 13 days back. A minute may arrive twice when a break falls into a call, never not at all.
    AWS charges for custom metrics.
    """
    from monitor.wire.aws import AwsRefused, RealCloudWatch

    if not re.fullmatch(r"[A-Za-z0-9._#-][A-Za-z0-9._/#-]{0,199}", prefix) or f"{prefix}/".startswith("AWS/"):
        raise click.UsageError("--namespace-prefix must be letters, digits and ._-#/, and not AWS")
    session = begin(state)
    api = session.api()
    try:
        target = RealCloudWatch(region, endpoint_url)
    except AwsRefused as error:
        raise Failure(f"cannot send to CloudWatch: {error}") from error
    if target.access_key_id == session.credentials().access_key_id:
        raise Failure(
            "the AWS credentials in force are Moorwatch's own: use a shell without 'moorwatch env', or set AWS_PROFILE"
        )
    if target.endpoint.rstrip("/") == session.settings.endpoint:
        raise Failure(f"{target.endpoint} is this control plane: unset AWS_ENDPOINT_URL to send to AWS")
    place = _Place(
        session.settings.state / "push-cloudwatch.json", f"{target.endpoint} {target.region} {prefix}"
    )
    try:
        while True:
            try:
                sent = _send_all(api, target, prefix, place, once)
                click.echo(f"sent {sent} datapoints to {target.region}")
            except ApiUnreachable as error:
                if once:
                    raise
                click.echo(f"the control plane does not answer ({error}); trying again", err=True)
            if once:
                return OK
            time.sleep(EVERY_SECONDS)
    finally:
        api.close()
        target.close()


def _send_all(api: Api, target: RealCloudWatch, prefix: str, place: _Place, is_once: bool) -> int:
    sent = 0
    for start, end in steps(place.load(), time.time()):
        for namespace in NAMESPACES:
            for call in calls(_entries(api, namespace, start, end)):
                _put(target, called(namespace, prefix), call, is_once)
                sent += len(call)
        place.keep(end)  # only now: what is not on the other side is asked for again
    return sent


def _entries(api: Api, namespace: str, start: int, end: int) -> Iterator[Entry]:
    token: str | None = None
    while True:
        asked: dict[str, Any] = {"Namespace": namespace} | ({"NextToken": token} if token else {})
        page = api.cloudwatch("ListMetrics", asked)
        for metric in page.get("Metrics", ()):
            found = api.cloudwatch(
                "GetMetricStatistics",
                {
                    "Namespace": namespace,
                    "MetricName": metric["MetricName"],
                    "Dimensions": metric.get("Dimensions") or [],
                    "StartTime": start,
                    "EndTime": end,
                    "Period": 60,
                    "Statistics": ["SampleCount", "Sum", "Minimum", "Maximum"],
                },
            )
            yield from entries(metric, found.get("Datapoints", ()))
        token = page.get("NextToken")
        if not token:
            return


def _put(target: RealCloudWatch, namespace: str, call: list[Entry], is_once: bool) -> None:
    from monitor.wire.aws import AwsBusy, AwsRefused

    wait, tries = FIRST_SECONDS, 0
    while True:
        try:
            return target.put(namespace, call)
        except AwsRefused as error:
            raise Failure(f"CloudWatch refused: {error}") from error
        except AwsBusy as error:
            tries += 1
            if is_once and tries == TRIES_ONCE:
                raise Failure(f"CloudWatch does not take it: {error}") from error
            click.echo(f"CloudWatch: {error}; again in {wait:.0f} s", err=True)
            time.sleep(wait)
            wait = min(MOST_SECONDS, 2 * wait)


class _Place:
    """How far it came, for each target, in a small file."""

    def __init__(self, path: Path, target: str) -> None:
        self._path, self._target = path, target

    def _all(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Failure(f"cannot read {self._path}: {error}; remove it to begin anew") from error
        return found if isinstance(found, dict) else {}

    def load(self) -> float | None:
        found = self._all().get(self._target)
        return float(found) if isinstance(found, int | float) else None

    def keep(self, until: int) -> None:
        try:
            text = json.dumps({**self._all(), self._target: until})
            beside = self._path.with_suffix(".new")
            beside.write_text(text)
            beside.replace(self._path)
        except OSError as error:
            raise Failure(f"cannot write {self._path}: {error}") from error
