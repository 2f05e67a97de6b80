"""Why a task stopped, as one of a few classes: what counters and boards are grouped by. Pure.

ECS's stopCode says who ended a task; a class says what for. Sentences stay in stoppedReason.
"""

from __future__ import annotations

from monitor.model import task as tasks
from monitor.model.task import Container, Task

OUT_OF_MEMORY = "OutOfMemory"
EXITED = "Exited"  # by itself, with exit code 0
FAILED = "Failed"  # by itself, with another exit code
KILLED = "Killed"  # by a signal from outside
UNHEALTHY = "Unhealthy"
IMAGE_PULL = "ImagePull"
NOT_STARTED = "NotStarted"
SCALING = "Scaling"  # a deployment, a smaller desiredCount
MOVED = "Moved"  # off a draining instance, or to another zone
INSTANCE_LOST = "InstanceLost"
USER = "User"
CLASSES = (
    OUT_OF_MEMORY,
    EXITED,
    FAILED,
    KILLED,
    UNHEALTHY,
    IMAGE_PULL,
    NOT_STARTED,
    SCALING,
    MOVED,
    INSTANCE_LOST,
    USER,
)
SIGNALS_FROM = 128
PULL_ERROR = "CannotPullContainerError"


def stop_class(task: Task) -> str:
    """One of CLASSES, of a task whose stopCode is set."""
    match task.stop_code:
        case tasks.TASK_FAILED_TO_START:
            return IMAGE_PULL if failed_pulls(task) else NOT_STARTED
        case tasks.USER_INITIATED:
            return USER
        case tasks.SERVICE_SCHEDULER_INITIATED:
            if "health checks" in task.stopped_reason:
                return UNHEALTHY
            return MOVED if task.stopped_reason.startswith("Task moved") else SCALING
        case tasks.ESSENTIAL_CONTAINER_EXITED:
            return _exit_class([c for c in task.containers if c.essential])
    return INSTANCE_LOST


def _exit_class(ended: list[Container]) -> str:
    if any((c.facts and c.facts.oom_killed) or "OutOfMemory" in c.reason for c in ended):
        return OUT_OF_MEMORY
    codes = [c.exit_code for c in ended if c.exit_code is not None]
    if any(0 < code < SIGNALS_FROM for code in codes):
        return FAILED
    return KILLED if any(codes) else EXITED


def failed_pulls(task: Task) -> list[str]:
    """Repositories (without tag and digest) of the images that could not be pulled."""
    found = [c.image for c in task.containers if PULL_ERROR in c.reason]
    if not found and PULL_ERROR in task.stopped_reason:
        found = [c.image for c in task.containers if c.exit_code is None][:1]
    return [repository(image) for image in found]


def repository(image: str) -> str:
    """host:5000/team/app:1.2@sha256:… → host:5000/team/app."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
