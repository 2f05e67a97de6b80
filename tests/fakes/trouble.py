"""A cluster in which something of everything happens: services that work, deploy, crash, are killed, find no place."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import yaml

from tests.conftest import free_port, wait_until

SERVE = (
    "mkdir -p /www; echo 'shop_orders_total 7' > /www/metrics; dd if=/dev/zero of=/layer bs=1k count=64 2>/dev/null;"
    " exec httpd -f -p 9100 -h /www"
)
WORKING = ("web", "busy", "patient")  # services whose tasks stay up
TAGS = ("1", "2")
TROUBLED = ("loop", "eater", "sick", "nopull", "huge", "rolled")


@contextmanager
def registry(program: str, docker_url: str, image: str, folder: Path) -> Iterator[tuple[str, str]]:
    """A registry with one image under two names, which the daemon does not have."""
    port = free_port()
    config = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    file = folder / "registry.yml"
    file.write_text(yaml.safe_dump(config))
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen([program, "serve", str(file)], stdout=log, stderr=log)
    name = f"127.0.0.1:{port}/shop"
    client = docker.APIClient(base_url=docker_url, version="auto")
    try:
        for tag in TAGS:
            client.tag(image, name, tag)
            wait_until(
                lambda tag=tag: "errorDetail" not in client.push(name, tag), "the registry takes the image"
            )
            client.remove_image(f"{name}:{tag}")
        first, second = (f"{name}:{tag}" for tag in TAGS)
        yield first, second
    finally:
        process.terminate()
        process.wait(30)
        client.close()


def _container(image: str, script: str, **members: Any) -> dict[str, Any]:
    made = {"name": "app", "image": image, "memory": 32, "cpu": 32, "stopTimeout": 2, "essential": True}
    return {**made, "command": ["sh", "-c", script], **members}


def begin(ecs: Any, image: str, pulled: str) -> None:
    """Create the services. `pulled`: an image that has to be pulled."""

    def serve(name: str, *containers: dict[str, Any], desired: int = 1, **members: Any) -> None:
        of_task = {k: members.pop(k) for k in ("cpu", "memory") if k in members}
        ecs.register_task_definition(family=name, containerDefinitions=list(containers), **of_task)
        ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=desired, **members)

    check = {"command": ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:9100/metrics"], "interval": 5}
    labels = {"prometheus.io/port": "9100", "com.example.team": "shop"}
    web = {
        "healthCheck": {**check, "retries": 1},
        "portMappings": [{"containerPort": 9100}],
        "dockerLabels": labels,
    }
    serve("web", _container(pulled, SERVE, **web, memoryReservation=16), desired=2)
    serve("busy", _container(image, "while true; do true; done"), cpu="128", memory="64")
    policy = {"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}}
    serve("patient", _container(image, "sleep 100000", **policy))
    serve("loop", _container(image, "exit 3"), desired=3)
    serve("eater", _container(image, "tail /dev/zero", memory=16))
    bad = {"healthCheck": {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "retries": 1}}
    serve("sick", _container(image, "sleep 100000", **bad), healthCheckGracePeriodSeconds=3600)
    serve("nopull", _container("127.0.0.1:1/missing:1", "true"))
    serve("huge", _container(image, "true", memory=1_000_000))
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    serve("rolled", _container(image, "sleep 100000"), deploymentConfiguration=breaker)


def deploy_badly(ecs: Any, pulled: str) -> None:
    """A revision of `rolled` that cannot start, once the first one has proven itself: that is where it goes back. Its
    image, `pulled`, is fetched once more: counted when Prometheus has long seen the service."""

    def is_completed() -> bool:
        (service,) = ecs.describe_services(services=["rolled"])["services"]
        return bool(service["deployments"][0]["rolloutState"] == "COMPLETED")

    wait_until(is_completed, "the first deployment is COMPLETED")
    made = ecs.register_task_definition(
        family="rolled", containerDefinitions=[_container(pulled, "true", command=["/no/such/program"])]
    )
    ecs.update_service(service="rolled", taskDefinition=made["taskDefinition"]["taskDefinitionArn"])


def end(ecs: Any) -> None:
    """The user stops what troubles."""
    for name in TROUBLED:
        ecs.update_service(service=name, desiredCount=0)
