from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import pytest

from monitor import credentials
from monitor.credentials import Credentials, CredentialsError

ACCOUNT = "000000000001"


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / "credentials.json"
    made = credentials.load_or_create(path, ACCOUNT)
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", made.access_key_id)
    assert len(made.secret_access_key) == 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert credentials.load_or_create(path, ACCOUNT) == made
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_secret_does_not_show_in_repr(tmp_path: Path) -> None:
    made = credentials.load_or_create(tmp_path / "c.json", ACCOUNT)
    assert made.secret_access_key not in repr(made)


def test_many_that_make_a_key_at_once_agree(tmp_path: Path) -> None:
    path, found = tmp_path / "c.json", list[Credentials]()
    gate = threading.Barrier(8)

    def make() -> None:
        gate.wait()
        found.append(credentials.load_or_create(path, ACCOUNT))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_others_can_read_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "c.json"
    credentials.load_or_create(path, ACCOUNT)
    path.chmod(mode)
    with pytest.raises(CredentialsError, match=r"chmod 600"):
        credentials.load_or_create(path, ACCOUNT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"access_key_id": "AKIAIOSFODNN7EXAMPLE"}',
        json.dumps({"access_key_id": "a b", "secret_access_key": "s", "account": ACCOUNT}),
        json.dumps({"access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": 5, "account": ACCOUNT}),
    ],
)
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match="move it away"):
        credentials.load(path)


def test_a_key_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    credentials.load_or_create(path, ACCOUNT)
    with pytest.raises(CredentialsError, match="000000000001"):
        credentials.load_or_create(path, "000000000002")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsError, match="cannot"):
        credentials.load_or_create(tmp_path / "file" / "c.json", ACCOUNT)
