"""next_steps on random tasks against a little model of containers: it ends, in order, and starts nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

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
    Stop,
    TaskSpec,
    next_steps,
)

CONDITIONS = ("START", "COMPLETE", "SUCCESS", "HEALTHY")


@st.composite
def tasks(draw: st.DrawFn) -> TaskSpec:
    """Dependencies point to earlier containers: no cycle."""
    count = draw(st.integers(1, 5))
    containers = []
    for n in range(count):
        earlier = draw(st.lists(st.integers(0, n - 1), unique=True, max_size=2)) if n else []
        depends = tuple((f"c{e}", draw(st.sampled_from(CONDITIONS))) for e in earlier)
        restart = RestartPolicy(5, frozenset((0,))) if draw(st.booleans()) else None
        containers.append(ContainerSpec(f"c{n}", draw(st.booleans()), depends, 30, restart))
    return TaskSpec(tuple(containers))


def started(moment: int, data: st.DataObject) -> Seen:
    health = data.draw(st.sampled_from(("HEALTHY", "UNKNOWN")))
    return Seen(RUNNING, health=health, started_at=moment)


@settings(max_examples=300, deadline=None)
@given(tasks(), st.data())
def test_every_task_comes_to_an_end_in_order(spec: TaskSpec, data: st.DataObject) -> None:
    seen = {c.name: Seen() for c in spec.containers}
    by_name = {c.name: c for c in spec.containers}
    done: Counter[tuple[str, str]] = Counter()
    for moment in range(200):
        if moment == 100:  # someone stops the task
            spec = TaskSpec(spec.containers, wanted=False)
        steps = next_steps(spec, seen, float(moment))
        if Finished() in steps:
            assert not any(s.phase == RUNNING for s in seen.values())
            break
        for step in steps:
            assert not isinstance(step, Finished)
            done[type(step).__name__, step.name] += 1
            now = seen[step.name]
            match step:
                case Create(name):
                    assert now.phase == NONE
                    seen[name] = Seen(CREATED)
                case Start(name):
                    assert now.phase == CREATED
                    for other, _ in by_name[name].depends_on:
                        assert seen[other].phase in (RUNNING, STOPPED)
                    seen[name] = started(moment, data)
                case Restart(name):
                    policy = by_name[name].restart
                    assert spec.wanted
                    assert policy is not None
                    assert now.exit_code not in (None, 0)
                    assert not now.error
                    assert now.started_at is not None
                    assert moment - now.started_at >= policy.period
                    seen[name] = started(moment, data)
                case Stop(name):
                    for c in spec.containers:
                        if seen[c.name].phase == RUNNING and c.name != name:
                            assert name not in [other for other, _ in c.depends_on]
                    seen[name] = Seen(STOPPED, exit_code=137)
                case GiveUp(name, reason):
                    assert reason
                    seen[name] = Seen(STOPPED, error=reason)
        running = [n for n, s in seen.items() if s.phase == RUNNING]
        if running and data.draw(st.booleans()):
            name = data.draw(st.sampled_from(running))
            code = data.draw(st.sampled_from((0, 1)))
            seen[name] = replace(seen[name], phase=STOPPED, exit_code=code, finished_at=moment)
    else:
        raise AssertionError("the task never came to an end")
    assert all(count == 1 for (kind, _), count in done.items() if kind in ("Create", "Start", "GiveUp"))
