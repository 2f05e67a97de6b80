from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from monitor import config
from monitor.cli import process, record
from monitor.cli.process import ProcessIdentity
from monitor.cli.record import UP, AlreadyUp, UpRecord

GONE = ProcessIdentity(pid=2**22 + 1, started=5, boot="some boot")


def a_record(supervisor: ProcessIdentity, **changes: object) -> UpRecord:
    values: dict[str, object] = {
        "phase": UP,
        "supervisor": supervisor,
        "host": "127.0.0.1",
        "port": 4999,
        "agent_port": 4998,
        "region": "eu-west-1",
        "account": "000000000001",
        "auth": "sigv4",
        "cluster": "default",
        "docker_host": "unix:///x",
        "docker_ours": True,
        **changes,
    }
    return UpRecord(**values)  # type: ignore[arg-type]


def me() -> ProcessIdentity:
    found = process.identify(os.getpid())
    assert found is not None
    return found


def test_what_is_saved_is_loaded_and_private(tmp_path: Path) -> None:
    written = a_record(me()).with_child("agent", GONE)
    record.save(tmp_path, written)
    assert record.load(tmp_path) == written
    assert (tmp_path / record.RECORD).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == [record.RECORD]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"phase": "up"}', '{"children": 3}', "\x00" * 100])
def test_a_spoilt_record_is_no_record(tmp_path: Path, text: str) -> None:
    (tmp_path / record.RECORD).write_text(text)
    assert record.load(tmp_path) is None


def test_a_record_with_fields_we_do_not_know_is_no_record(tmp_path: Path) -> None:
    record.save(tmp_path, a_record(me()))
    path = tmp_path / record.RECORD
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": 1}))
    assert record.load(tmp_path) is None


def test_one_supervisor_per_state_folder(tmp_path: Path) -> None:
    with record.hold(tmp_path), pytest.raises(AlreadyUp, match="moorwatch down"), record.hold(tmp_path):
        pytest.fail("held twice")
    with record.hold(tmp_path):
        pass


def test_a_running_up_decides_where_commands_look(tmp_path: Path) -> None:
    settings = config.load({"MOORWATCH_STATE": str(tmp_path)})
    running = record.in_force(settings, a_record(me()))
    assert running.endpoint == "http://127.0.0.1:4999"
    assert running.region == "eu-west-1"
    assert running.origins["port"] == "the running 'moorwatch up'"
    assert running.origins["host"] == "default"


def test_an_up_that_ended_decides_nothing(tmp_path: Path) -> None:
    settings = config.load({"MOORWATCH_STATE": str(tmp_path)})
    assert record.in_force(settings, a_record(GONE)) is settings
    assert record.in_force(settings, None) is settings


def test_a_folder_that_cannot_be_made_is_a_setting_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(config.ConfigError, match="--state"):
        record.private_folder(tmp_path / "file" / "state")


def test_folders_are_private(tmp_path: Path) -> None:
    record.private_folder(tmp_path / "a")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
