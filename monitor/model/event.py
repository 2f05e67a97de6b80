"""Event: one line of the log that explains what happened; Reason: why a stop was ordered."""

from __future__ import annotations

from dataclasses import dataclass

SERVICE_ACTION = "service"
TASK_CHANGE = "task"
INSTANCE_CHANGE = "container-instance"
DEPLOYMENT_CHANGE = "deployment"
ALARM_CHANGE = "alarm"
CUSTOM = "custom"  # put by a user (PutEvents)
ECS_SOURCE = "aws.ecs"
SCALING_ACTIVITY = "scaling"


@dataclass(frozen=True, slots=True)
class Event:
    """`seq` is given by the state when the event is applied and grows by one.

    `detail_type` and `detail` (JSON text) are EventBridge's; empty where nothing is published. What is not ECS's has a
    `source` of its own, its `resources` (ARNs), and the ARN of what it is about, `subject`: an alarm, an event bus.
    """

    id: str
    at: float
    kind: str
    cluster_arn: str
    message: str
    service_arn: str = ""
    task_arn: str = ""
    instance_arn: str = ""
    seq: int = 0
    name: str = ""  # a service action's eventName: SERVICE_STEADY_STATE …
    detail_type: str = ""
    detail: str = ""
    source: str = ECS_SOURCE
    subject: str = ""
    resources: tuple[str, ...] = ()
    data: str = ""  # of an alarm's history: HistoryData


@dataclass(frozen=True, slots=True)
class Reason:
    """ECS's stopCode and stoppedReason."""

    stop_code: str
    text: str
