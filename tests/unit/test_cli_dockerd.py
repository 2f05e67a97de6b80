from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monitor import config
from monitor.cli import dockerd
from monitor.cli.dockerd import NoDocker


def test_each_state_folder_has_a_daemon_of_its_own() -> None:
    one, other = (dockerd.own_daemon(Path(folder)) for folder in ("/var/lib/a", "/var/lib/b"))
    assert one.host == "unix:///var/lib/a/docker.sock"
    assert (one.run, one.bridge) != (other.run, other.bridge)
    assert len(one.bridge) < 16  # the kernel's limit for interface names
    assert dockerd.own_daemon(Path("/var/lib/a")) == one


def test_a_deep_state_folder_gets_its_socket_elsewhere() -> None:
    own = dockerd.own_daemon(Path("/" + "deep/" * 30))
    assert str(own.socket).startswith("/run/moorwatch-")
    assert len(str(own.socket)) < 100


def test_an_address_that_was_set_is_never_replaced(tmp_path: Path) -> None:
    environ = {"MOORWATCH_STATE": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with pytest.raises(NoDocker, match=r"none\.sock.*environment DOCKER_HOST"):
        dockerd.choose(config.load(environ))


@pytest.mark.parametrize("host", ["ssh://somewhere", "unix:", "tcp://host:notaport", "nonsense", "tcp://[::"])
def test_addresses_we_cannot_use_are_refused(tmp_path: Path, host: str) -> None:
    settings = config.load({"MOORWATCH_STATE": str(tmp_path), "MOORWATCH_DOCKER_HOST": host})
    with pytest.raises(NoDocker, match="no Docker daemon answers"):
        dockerd.choose(settings)


def test_dockerd_finds_the_system_programs_and_no_other_daemon() -> None:
    environ = dockerd.environment({"PATH": "/opt/x", "DOCKER_HOST": "tcp://y", "LANG": "C"})
    assert environ["PATH"].startswith("/opt/x:")
    assert "/usr/sbin" in environ["PATH"].split(":")
    assert "DOCKER_HOST" not in environ
    assert environ["LANG"] == "C"


def test_a_pidfile_that_names_another_process_is_not_our_daemon(tmp_path: Path) -> None:
    own = dockerd.OwnDaemon(tmp_path, "key", tmp_path)
    for text in (str(os.getpid()), "4194305", "", "x"):
        own.pidfile.write_text(text)
        assert dockerd.running_process(own) is None


def test_settings_reach_children_as_variables(tmp_path: Path) -> None:
    from monitor.cli.launch import child_environment

    given = {"MOORWATCH_STATE": str(tmp_path), "MOORWATCH_PORT": "4999", "MOORWATCH_ATTRIBUTES": "a=b"}
    settings = config.load(given)
    again = config.load(child_environment({"MOORWATCH_PORT": "1"}, settings))
    assert json.dumps([str(getattr(again, n)) for n in ("state", "port", "attributes", "docker_host")]) == (
        json.dumps([str(getattr(settings, n)) for n in ("state", "port", "attributes", "docker_host")])
    )
