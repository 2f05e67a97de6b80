"""The key that signs requests: made at first start, kept in the state folder, read by every process.

The file is the secret: it is 0600 and is refused when others may read it. It appears whole or not at all, and
of two processes that make it at the same moment one wins and both read the winner's.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import string
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_MAX_BYTES = 16 * 1024
_ID_ALPHABET = string.ascii_uppercase + "234567"  # what AWS's own access key ids are made of


class CredentialsError(Exception):
    """The credentials file cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key bound to an account. The secret never shows in repr."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    account: str


def load_or_create(path: Path, account: str) -> Credentials:
    """Read the key at `path`, making one for `account` (12 digits) when there is none.

    Raises CredentialsError: unreadable, malformed, open to others, or bound to another account.
    """
    try:
        found = load(path)
    except FileNotFoundError:
        _create(path, account)
        found = load(path)
    if found.account != account:
        raise CredentialsError(
            f"{path} belongs to account {found.account}, and the settings say {account}. Set account = "
            f"'{found.account}', or move the file away to have a new key made."
        )
    return found


def load(path: Path) -> Credentials:
    """Read the key at `path`. Raises FileNotFoundError, CredentialsError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CredentialsError(
            f"cannot read {path}: {error.strerror}; run as the user who started it"
        ) from error
    if mode & 0o077:
        raise CredentialsError(
            f"{path} can be read by others (mode {mode:04o}); its key may be known to them. Keep it with "
            f"'chmod 600 {path}', or move it away to have a new key made."
        )
    return _parse(raw, path)


def _parse(raw: bytes, path: Path) -> Credentials:
    hint = f"{path} is not a credentials file of ours; move it away to have a new key made"
    if len(raw) > _MAX_BYTES:
        raise CredentialsError(hint)
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise CredentialsError(hint) from error
    names = ("access_key_id", "secret_access_key", "account")
    if not isinstance(value, dict) or not all(isinstance(value.get(n), str) and value[n] for n in names):
        raise CredentialsError(hint)
    if re.fullmatch(r"[A-Z0-9]{16,128}", value["access_key_id"]) is None:
        raise CredentialsError(hint)
    return Credentials(*(value[name] for name in names))


def _create(path: Path, account: str) -> None:
    document = {
        "access_key_id": "AKIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16)),
        "secret_access_key": secrets.token_urlsafe(30),  # 40 characters, as AWS's
        "account": account,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")  # 0600
    except OSError as error:
        raise CredentialsError(f"cannot write {path}: {error.strerror}; choose another --state") from error
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(document, file)
            file.flush()
            os.fsync(file.fileno())
        os.link(scratch, path)  # unlike rename, link never replaces another process's key
    except FileExistsError:
        return
    except OSError as error:
        raise CredentialsError(f"cannot write {path}: {error.strerror}") from error
    finally:
        Path(scratch).unlink(missing_ok=True)
