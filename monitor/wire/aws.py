"""The real CloudWatch, by botocore and the user's own credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_THROTTLED = frozenset(
    ("Throttling", "ThrottlingException", "RequestLimitExceeded", "LimitExceeded", "TooManyRequestsException")
)


class AwsRefused(Exception):
    """AWS said no, or there are no credentials; the message is for people."""


class AwsBusy(Exception):
    """Throttled, out of order or out of reach: worth another try."""


class RealCloudWatch:
    """Raises AwsRefused where there is no region or are no credentials."""

    def __init__(self, region: str | None, endpoint: str | None) -> None:
        session = botocore.session.Session()
        try:
            credentials = session.get_credentials()
            if credentials is None:
                raise AwsRefused(
                    "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"
                )
            self.access_key_id: str = credentials.access_key
            # What is worth a try again is ours to say: one call, one answer.
            config = Config(
                retries={"mode": "standard", "total_max_attempts": 1}, connect_timeout=10, read_timeout=30
            )
            self._client: Any = session.create_client(
                "cloudwatch", region_name=region, endpoint_url=endpoint, config=config
            )
        except BotoCoreError as error:
            raise AwsRefused(str(error)) from error
        self.endpoint: str = self._client.meta.endpoint_url
        self.region: str = self._client.meta.region_name

    def put(self, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
        """PutMetricData; `Timestamp` in seconds since the epoch. Raises AwsRefused, AwsBusy."""
        timed = [{**entry, "Timestamp": datetime.fromtimestamp(entry["Timestamp"], UTC)} for entry in data]
        try:
            self._client.put_metric_data(Namespace=namespace, MetricData=timed)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
            kind = AwsBusy if code in _THROTTLED or status >= 500 else AwsRefused
            raise kind(str(error)) from error
        except BotoCoreError as error:
            raise AwsBusy(str(error)) from error

    def close(self) -> None:
        self._client.close()
