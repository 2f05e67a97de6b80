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
    Restart,
    RestartPolicy,
    Seen,
    Start,
    Step,
    Stop,
    TaskSpec,
    next_steps,
    status,
    unresolved,
    will_restart,
)


def spec(*containers: ContainerSpec, wanted: bool = True, standby: bool = False) -> TaskSpec:
    return TaskSpec(containers, wanted, standby)


APP, SIDE = ContainerSpec("app"), ContainerSpec("side", essential=False)


def needs(condition: str) -> ContainerSpec:
    return ContainerSpec("app", depends_on=(("side", condition),))


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


def test_start_timeout_is_the_dependency_s_and_counts_from_its_start() -> None:
    task = spec(needs("HEALTHY"), ContainerSpec("side", essential=False, start_timeout=10))
    seen = {"app": Seen(CREATED), "side": Seen(RUNNING, started_at=100)}
    assert next_steps(task, seen, 109) == ()
    (step,) = next_steps(task, seen, 111)
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


# -- restart policies -------------------------------------------------------------------------------------

AGAIN = ContainerSpec("app", restart=RestartPolicy(period=60, ignored_exit_codes=frozenset((0, 7))))


def ended(exit_code: int | None, ran: float) -> Seen:
    return Seen(STOPPED, exit_code=exit_code, started_at=1000, finished_at=1000 + ran)


@pytest.mark.parametrize(
    ("state", "restarts"),
    [
        (ended(1, 60), True),
        (ended(137, 3600), True),
        (ended(1, 59.9), False),
        (ended(7, 60), False),
        (ended(0, 60), False),
        (Seen(STOPPED, exit_code=1), False),  # when it started is not known
        (Seen(STOPPED, 1, error="CannotStartContainerError: x", started_at=0, finished_at=99), False),
    ],
)
def test_a_restart_policy_decides(state: Seen, restarts: bool) -> None:
    seen = {"app": state, "side": Seen(RUNNING)}
    task = spec(AGAIN, SIDE)
    assert next_steps(task, seen) == ((Restart("app"),) if restarts else (Stop("side"),))
    assert will_restart(task, seen, "app") is restarts
    assert status(task, seen) == ("RUNNING" if restarts or not state.error else "PENDING")


def test_without_a_policy_an_end_is_final() -> None:
    assert next_steps(spec(APP), {"app": ended(1, 3600)}) == (Finished(),)


def test_exit_0_restarts_unless_it_is_ignored() -> None:
    plain = ContainerSpec("app", restart=RestartPolicy(period=60))
    assert next_steps(spec(plain), {"app": ended(0, 60)}) == (Restart("app"),)


def test_an_end_without_its_exit_code_decides_nothing_yet() -> None:
    seen = {"app": ended(None, 60), "side": Seen(RUNNING)}
    assert next_steps(spec(AGAIN, SIDE), seen) == ()
    # One that came too soon is final at once.
    assert next_steps(spec(AGAIN, SIDE), {**seen, "app": ended(None, 1)}) == (Stop("side"),)


def test_a_task_that_is_to_end_restarts_nothing() -> None:
    assert next_steps(spec(AGAIN, wanted=False), {"app": ended(1, 60)}) == (Finished(),)
    other = ContainerSpec("other")
    seen = {"app": ended(1, 60), "other": Seen(STOPPED, exit_code=0)}
    assert next_steps(spec(AGAIN, other), seen) == (Finished(),)


def test_a_dependency_that_comes_back_is_not_complete() -> None:
    init = ContainerSpec("side", essential=False, restart=RestartPolicy(60))
    seen = {"app": Seen(CREATED), "side": ended(1, 60)}
    for condition in ("COMPLETE", "SUCCESS", "HEALTHY"):
        assert next_steps(spec(needs(condition), init), seen) == (Restart("side"),)


# -- containers of the agent's own ------------------------------------------------------------------------

PAUSE = ContainerSpec("~pause", internal=True)
JOINED = (("~pause", "CREATE"), ("~pause", "START"))


def test_the_holder_of_the_namespaces_is_first_in_and_last_out() -> None:
    app, side = ContainerSpec("app", depends_on=JOINED), ContainerSpec("side", False, JOINED)
    task = spec(PAUSE, app, side)
    assert next_steps(task, {}) == (Create("~pause"),)
    seen = {"~pause": Seen(CREATED), "app": Seen(CREATED), "side": Seen(CREATED)}
    assert next_steps(task, seen) == (Start("~pause"),)
    seen = dict.fromkeys(seen, Seen(RUNNING))
    over = spec(PAUSE, app, side, wanted=False)
    assert next_steps(over, seen) == (Stop("app"), Stop("side"))
    seen |= dict.fromkeys(("app", "side"), Seen(STOPPED, exit_code=0))
    assert next_steps(over, seen) == (Stop("~pause"),)


def test_a_task_is_over_when_only_the_holder_runs() -> None:
    side = ContainerSpec("side", False, JOINED)
    seen = {"~pause": Seen(RUNNING), "side": Seen(STOPPED, exit_code=0)}
    assert next_steps(spec(PAUSE, side), seen) == (Stop("~pause"),)


def test_the_end_of_the_holder_ends_the_task() -> None:
    app = ContainerSpec("app", depends_on=JOINED, restart=RestartPolicy(60))
    seen = {"~pause": Seen(STOPPED, exit_code=137), "app": Seen(RUNNING)}
    assert next_steps(spec(PAUSE, app), seen) == (Stop("app"),)
