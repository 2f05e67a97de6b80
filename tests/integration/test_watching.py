"""Prometheus, Alertmanager and the boards over a live cluster in which services deploy, fail, are killed and recover.

Rules run in a twentieth of their time (ten minutes are thirty seconds), as the files we ship for all else.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import pytest

from dashboards import provision
from dashboards.draw import TimeRange, draw
from tests.conftest import Stack, wait_until
from tests.fakes import trouble
from tests.fakes.watch import Watch, watching

pytestmark = [pytest.mark.docker, pytest.mark.prometheus, pytest.mark.slow]

STATED_SECONDS = 90.0  # each alert's window and wait, in a twentieth of the time, and a good deal of patience
FILLED = {"$__rate_interval": "10s", "$__range": "5m", "$__interval": "5s", "$job": "ecs"}
# (board, panel): why it may be empty here.
MAY_BE_EMPTY = {
    ("moorwatch-control", "Docker down"): "Docker is up; the panel says 0 then",
    ("moorwatch-task", "Pressure"): "this kernel tells no pressure of cgroups",
    ("moorwatch-instances", "Pressure on the machine"): "this kernel tells no pressure",
}
# Panels that have nothing to say of the service web: it has no CPU ceiling, and its containers are not restarted.
NOT_OF_WEB = {"CPU of limit", "Throttled", "CPU throttling", "Restarts in place", "Last exit code"}
# (alert, labels) that the troubles must bring about.
MEANT = (
    ("EcsServiceCrashLooping", {"service": "loop"}),
    ("EcsContainerOomKilled", {"service": "eater", "container": "app"}),
    ("EcsServiceUnhealthyTasks", {"service": "sick"}),
    ("EcsImagePullFailing", {"service": "nopull"}),
    ("EcsPlacementFailing", {"service": "huge"}),
    ("EcsServiceDown", {"service": "huge"}),
    ("EcsDeploymentRolledBack", {"service": "rolled"}),
    ("EcsAgentDisconnected", {"cluster": "default"}),
)


@dataclass
class Scene:
    stack: Stack
    watch: Watch
    ecs: Any
    image: str
    settled_at: datetime  # when Prometheus had seen all tasks of the services that work


def _program(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"{names[0]} is not installed (sh deploy/system.sh --tests)")
    return found


@pytest.fixture(scope="module")
def scene(
    stack: Stack, busybox_image: str, prometheus_binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """The cluster in trouble, watched from its first second."""
    folder = tmp_path_factory.mktemp("watch")
    alertmanager = _program("prometheus-alertmanager", "alertmanager")
    registry = trouble.registry(_program("docker-registry"), stack.docker_url, busybox_image, folder)
    with registry as (first, second), watching(stack, prometheus_binary, alertmanager, folder) as watch:
        ecs = stack.client()
        with stack.another_agent() as lost:
            wait_until(
                lambda: len(ecs.list_container_instances()["containerInstanceArns"]) == 2, "two instances"
            )
            wait_until(
                lambda: len(watch.query("ecs_container_instance_agent_connected == 1")) == 2,
                "Prometheus has seen both agents",
            )
            lost.kill()
            lost.wait()
        wait_until(  # so that no task is placed there
            lambda: watch.query("ecs_container_instance_agent_connected == 0"), "the control plane misses it"
        )
        trouble.begin(ecs, busybox_image, first)
        trouble.deploy_badly(ecs, second)
        working = "|".join(trouble.WORKING)
        wait_until(
            lambda: (
                not watch.query(
                    f'ecs_service_running_tasks{{service=~"{working}"}} < ecs_service_desired_tasks'
                )
            ),
            "the services that work have all their tasks",
        )
        yield Scene(stack, watch, ecs, busybox_image, datetime.now(UTC))
        ecs.close()


# -- alerts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alert", "labels"), MEANT, ids=[name for name, _ in MEANT])
def test_an_alert_arrives_where_people_read_it(scene: Scene, alert: str, labels: dict[str, str]) -> None:
    (first, *_) = wait_until(
        lambda: scene.watch.mailbox.alerts(alert, "firing", **labels), f"{alert} arrives", STATED_SECONDS
    )
    told = first["annotations"]
    assert "error expanding" not in json.dumps(told)
    assert "<no value>" not in json.dumps(told)
    assert told["runbook_url"].endswith(f"/{alert}.md")
    for value in labels.values():
        assert value in told["summary"]


def test_a_task_s_own_metrics_are_found_and_scraped(scene: Scene) -> None:
    wait_until(lambda: len(scene.watch.query("shop_orders_total")) == 2, "both tasks of web are scraped")
    (one, _) = scene.watch.query("shop_orders_total")
    assert one["metric"]["job"] == "ecs-tasks"
    assert (one["metric"]["cluster"], one["metric"]["service"]) == ("default", "web")
    assert one["metric"]["container"] == "app"
    assert one["value"][1] == "7"


# -- boards ------------------------------------------------------------------------------------------------


def _panels() -> list[Any]:
    found = []
    for uid, board in provision.boards().items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                found.append(pytest.param(uid, panel, id=f"{uid}: {panel['title']}"))
    return found


def _filled(expr: str) -> str:
    for name, value in FILLED.items():
        expr = expr.replace(name, value)
    return re.sub(r"\$\{?\w+\}?", ".*", expr)


def _answer(watch: Watch, target: dict[str, Any]) -> list[float]:
    """The query's numbers over the last three minutes, or now for a table. Raises HTTPError."""
    expr = _filled(target["expr"])
    if target.get("instant"):
        rows = watch.query(expr)
        return [float(row["value"][1]) for row in rows]
    now = time.time()
    found = watch.api("query_range", query=expr, start=now - 180, end=now, step=5)["result"]
    return [float(value) for series in found for _, value in series["values"]]


@pytest.mark.parametrize(("uid", "panel"), _panels())
def test_each_query_of_each_panel_returns_data(scene: Scene, uid: str, panel: dict[str, Any]) -> None:
    empty = {t["refId"] for t in panel["targets"]}

    def is_filled() -> bool:
        for target in panel["targets"]:
            if target["refId"] in empty and any(not math.isnan(v) for v in _answer(scene.watch, target)):
                empty.discard(target["refId"])
        return not empty

    if (uid, panel["title"]) in MAY_BE_EMPTY:
        is_filled()  # must not be refused
        return
    told = [(t["refId"], _filled(t["expr"])) for t in panel["targets"]]
    wait_until(is_filled, f"data for {sorted(empty)} of {told}", 60)


@pytest.mark.parametrize("uid", list(provision.boards()))
def test_each_annotation_and_variable_is_answered(scene: Scene, uid: str) -> None:
    board = provision.boards()[uid]
    for mark in board.get("annotations", {}).get("list", []):
        now = time.time()
        scene.watch.api("query_range", query=_filled(mark["expr"]), start=now - 180, end=now, step=5)
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        assert match
        found = scene.watch.api(f"label/{match[2]}/values", **{"match[]": _filled(match[1])})
        assert found, variable["name"]


def test_deployments_kills_and_stops_are_marked(scene: Scene) -> None:
    marks = {m["name"]: m["expr"] for m in provision.boards()["moorwatch-service"]["annotations"]["list"]}
    now = time.time()
    for name, expr in marks.items():
        found = scene.watch.api("query_range", query=_filled(expr), start=now - 300, end=now, step=5)[
            "result"
        ]
        assert found, name


@pytest.mark.parametrize("uid", list(provision.boards()))
def test_each_board_is_drawn_by_grafana_s_components_with_data_in_each_panel(
    scene: Scene, uid: str, page: Path, drawings: Path
) -> None:
    board = provision.boards()[uid]
    chosen = {"service": "web"} if uid in ("moorwatch-service", "moorwatch-task") else {}
    may_be_empty = NOT_OF_WEB | {title for board_uid, title in MAY_BE_EMPTY if board_uid == uid}
    empty = {""}

    def is_filled() -> bool:
        states = draw(
            board,
            scene.watch.url,
            drawings / f"{uid}.png",
            TimeRange.last(300),
            chosen,
            scrape_interval_seconds=1,
        )
        assert len(states) == sum(p["type"] != "row" for p in board["panels"])
        assert [(s.title, s.message) for s in states if s.state == "error"] == []
        empty.clear()
        empty.update({s.title for s in states if s.state == "nodata"} - may_be_empty)
        return not empty

    # A bar is a whole minute of the clock: what happened since is drawn when that minute is over.
    wait_until(is_filled, f"data in {empty}", 150)


# -- the end -----------------------------------------------------------------------------------------------


def test_a_kill_is_counted_and_replaced_without_an_alert_of_a_crash_loop(scene: Scene) -> None:
    api = docker.APIClient(base_url=scene.stack.docker_url, version="auto")
    label = "com.amazonaws.ecs.task-definition-family=busy"
    (container,) = api.containers(filters={"label": [label]})
    exits = 'ecs_task_stop_reasons_total{service="busy", reason="Killed"}'
    assert scene.watch.query(exits)[0]["value"][1] == "0"
    api.kill(container["Id"])
    wait_until(lambda: scene.watch.query(f"{exits} == 1"), "the kill is counted")
    api.close()
    running = 'ecs_service_running_tasks{service="busy"} == 1'
    wait_until(lambda: scene.watch.query(running), "the task is replaced")
    assert scene.watch.mailbox.alerts("EcsServiceCrashLooping", "firing", service="busy") == []


def test_every_alert_is_resolved_when_its_cause_is_gone(scene: Scene) -> None:
    trouble.end(scene.ecs)
    lost = scene.watch.query("ecs_container_instance_agent_connected == 0")
    for row in lost:
        arn = next(
            a
            for a in scene.ecs.list_container_instances()["containerInstanceArns"]
            if a.endswith(row["metric"]["container_instance"])
        )
        scene.ecs.deregister_container_instance(containerInstance=arn, force=True)
    for alert, labels in MEANT:
        wait_until(
            lambda alert=alert, labels=labels: scene.watch.mailbox.alerts(alert, "resolved", **labels),
            f"{alert} is resolved",
            STATED_SECONDS,
        )


def test_services_that_work_never_fired(scene: Scene) -> None:
    """Once they did: on a machine that is busy their first tasks may take longer than three seconds, which are a minute
    here."""
    fired = {
        (alert["labels"]["alertname"], alert["labels"].get("service"))
        for message in scene.watch.mailbox.received
        for alert in message["alerts"]
        if datetime.fromisoformat(alert["startsAt"]) > scene.settled_at
    }
    assert fired
    severe = {
        pair for pair in fired if pair[1] in trouble.WORKING and pair[0] != "EcsContainerCpuThrottlingHigh"
    }
    assert severe == set()


def test_promtool_takes_what_both_processes_show(scene: Scene, promtool_binary: str) -> None:
    import subprocess
    import urllib.request

    for port in (scene.stack.port, scene.stack.agent_port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read()
        done = subprocess.run(
            [promtool_binary, "check", "metrics"], input=text, capture_output=True, check=False
        )
        ours = [line for line in done.stderr.decode().splitlines() if not line.startswith("process_")]
        assert (done.returncode in (0, 3), ours) == (True, [])


def test_the_troubles_are_those_that_were_meant(tmp_path: Path) -> None:
    """The two lists speak of the same services."""
    assert {labels["service"] for _, labels in MEANT if "service" in labels} == set(trouble.TROUBLED)
