"""The agent's next steps: dependencies, essential containers, the order of a stop."""

from __future__ import annotations

import pytest

from monitor.scheduler.host import (
    CREATED,
    NONE,
    RUNNING,
    STOPPED,
    ContainerSpec,
    Create,
    Finished,
    GiveUp,
    Seen,
    Start,
    Step,
    Stop,
    TaskSpec,
    next_steps,
    status,
    unresolved,
)


def spec(*containers: ContainerSpec, wanted: bool = True, standby: bool = False) -> TaskSpec:
    return TaskSpec(containers, wanted, standby)


APP, SIDE = ContainerSpec("app"), ContainerSpec("side", essential=False)


def needs(condition: str, timeout: float | None = None) -> ContainerSpec:
    return ContainerSpec("app", depends_on=(("side", condition),), start_timeout=timeout)


def test_containers_are_created_side_by_side_and_then_started() -> None:
    assert next_steps(spec(APP, SIDE), {}) == (Create("app"), Create("side"))
    created = {"app": Seen(CREATED), "side": Seen(CREATED)}
    assert next_steps(spec(APP, SIDE), created) == (Start("app"), Start("side"))


def test_a_standby_is_created_and_not_started() -> None:
    assert next_steps(spec(APP, standby=True), {"app": Seen(CREATED)}) == ()
    assert next_steps(spec(APP), {"app": Seen(CREATED)}) == (Start("app"),)


@pytest.mark.parametrize(
    ("condition", "side", "starts"),
    [
        ("START", Seen(CREATED), False),
        ("START", Seen(RUNNING), True),
        ("START", Seen(STOPPED, exit_code=1), True),
        ("COMPLETE", Seen(RUNNING), False),
        ("COMPLETE", Seen(STOPPED, exit_code=1), True),
        ("SUCCESS", Seen(RUNNING), False),
        ("SUCCESS", Seen(STOPPED), False),
        ("SUCCESS", Seen(STOPPED, exit_code=0), True),
        ("HEALTHY", Seen(RUNNING), False),
        ("HEALTHY", Seen(RUNNING, health="UNHEALTHY"), False),
        ("HEALTHY", Seen(RUNNING, health="HEALTHY"), True),
    ],
)
def test_a_dependency_holds(condition: str, side: Seen, starts: bool) -> None:
    steps = next_steps(spec(needs(condition), SIDE), {"app": Seen(CREATED), "side": side})
    assert (Start("app") in steps) is starts


def test_a_dependency_that_failed_ends_the_task() -> None:
    seen = {"app": Seen(CREATED), "side": Seen(STOPPED, exit_code=3)}
    (step,) = next_steps(spec(needs("SUCCESS"), SIDE), seen)
    assert isinstance(step, GiveUp)
    assert "side ended with exit code 3" in step.reason


def test_start_timeout_gives_up() -> None:
    seen = {"app": Seen(CREATED), "side": Seen(RUNNING)}
    assert next_steps(spec(needs("HEALTHY", 10), SIDE), seen, 9) == ()
    (step,) = next_steps(spec(needs("HEALTHY", 10), SIDE), seen, 11)
    assert isinstance(step, GiveUp)
    assert "startTimeout (10 s)" in step.reason


@pytest.mark.parametrize(
    ("wanted", "app", "expected"),
    [
        (True, Seen(STOPPED, exit_code=0), (Stop("side"),)),
        (True, Seen(STOPPED, error="CannotStartContainerError: x"), (Stop("side"),)),
        (False, Seen(CREATED), (Stop("side"),)),
        (False, Seen(NONE), (Stop("side"),)),
    ],
)
def test_the_rest_is_stopped_when_the_task_ends(wanted: bool, app: Seen, expected: tuple[Step, ...]) -> None:
    assert next_steps(spec(APP, SIDE, wanted=wanted), {"app": app, "side": Seen(RUNNING)}) == expected


def test_a_sidecar_that_ends_leaves_the_task_running() -> None:
    seen = {"app": Seen(RUNNING), "side": Seen(STOPPED, exit_code=0)}
    assert next_steps(spec(APP, SIDE), seen) == ()
    assert status(spec(APP, SIDE), seen) == "RUNNING"


def test_who_depends_is_stopped_first() -> None:
    both = {"app": Seen(RUNNING), "side": Seen(RUNNING)}
    assert next_steps(spec(needs("START"), SIDE, wanted=False), both) == (Stop("app"),)
    after = {"app": Seen(STOPPED, exit_code=0), "side": Seen(RUNNING)}
    assert next_steps(spec(needs("START"), SIDE, wanted=False), after) == (Stop("side"),)


def test_finished_when_nothing_runs() -> None:
    seen = {"app": Seen(STOPPED, exit_code=0), "side": Seen(CREATED)}
    assert next_steps(spec(APP, SIDE), seen) == (Finished(),)
    assert status(spec(APP, SIDE), seen) == "STOPPED"
    assert next_steps(spec(wanted=False), {}) == (Finished(),)


def test_status_waits_for_the_last_container() -> None:
    assert status(spec(APP, SIDE), {"app": Seen(RUNNING), "side": Seen(CREATED)}) == "PENDING"
    assert status(spec(APP, SIDE), {"app": Seen(RUNNING), "side": Seen(RUNNING)}) == "RUNNING"


def test_what_can_never_be_met_is_told() -> None:
    assert "not in the task" in unresolved(spec(ContainerSpec("a", depends_on=(("b", "START"),))))
    a = ContainerSpec("a", depends_on=(("b", "START"),))
    b = ContainerSpec("b", depends_on=(("a", "START"),))
    assert unresolved(spec(a, b)) == "container dependencies form a cycle: a, b"
    assert unresolved(spec(APP, SIDE)) == ""
