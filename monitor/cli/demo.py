"""The demo service: two small tasks that print a line now and then, so that a new user has something to watch.

It is created once per state folder, through the ECS API like any user's service; who deletes it has it gone.
"""

from __future__ import annotations

from typing import Any

from monitor.cli.api import Api
from monitor.cli.image import IMAGE
from monitor.cli.record import write_private
from monitor.config import Settings

NAME = "demo"
DESIRED_COUNT = 2
_MARK = "demo.created"
# The shell waits on a background sleep, so that SIGTERM ends it at once instead of after the stop timeout.
_SCRIPT = """trap 'echo "demo: asked to stop"; exit 0' TERM
beat=0
while :; do
  beat=$((beat + 1))
  echo "demo: beat $beat"
  sleep 10 &
  wait $!
done"""


def definition() -> dict[str, Any]:
    """The demo's task definition, as RegisterTaskDefinition takes it."""
    container = {
        "name": "beat",
        "image": IMAGE,
        "command": ["sh", "-c", _SCRIPT],
        "cpu": 64,
        "memory": 32,
        "essential": True,
    }
    return {"family": NAME, "networkMode": "bridge", "containerDefinitions": [container]}


def failing_definition(family: str) -> dict[str, Any]:
    """One whose container reads more into memory than its limit."""
    container = {
        "name": "app",
        "image": IMAGE,
        "command": ["sh", "-c", "echo reading the whole file; tail /dev/zero"],
        "cpu": 64,
        "memory": 16,
        "essential": True,
    }
    return {"family": family, "networkMode": "bridge", "containerDefinitions": [container]}


def ensure(api: Api, settings: Settings) -> bool:
    """Create the demo service unless this state folder has had it. True when it was created now.

    Raises AwsError, ApiUnreachable.
    """
    mark = settings.state / _MARK
    if mark.exists():
        return False
    described = api.ecs("DescribeServices", {"cluster": settings.cluster, "services": [NAME]})
    if not any(service.get("status") == "ACTIVE" for service in described.get("services", ())):
        registered = api.ecs("RegisterTaskDefinition", definition())["taskDefinition"]
        service = {
            "cluster": settings.cluster,
            "serviceName": NAME,
            "taskDefinition": registered["taskDefinitionArn"],
            "desiredCount": DESIRED_COUNT,
        }
        api.ecs("CreateService", service)
    write_private(mark, "The demo service was created once; remove this file to have it created again.\n")
    return True


def is_running(api: Api, settings: Settings) -> bool:
    """Whether all tasks of the demo service run."""
    asked = {"cluster": settings.cluster, "services": [NAME]}
    services = api.ecs("DescribeServices", asked).get("services", ())
    return any(service.get("runningCount", 0) >= DESIRED_COUNT for service in services)
