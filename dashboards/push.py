"""Push: bring boards, data source and alert rules into a running Grafana by its HTTP API.

What is there already is compared and left alone when it is the same, so that pushing twice changes nothing. Each thing
has a uid of its own; nothing else of Grafana is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grafana_client.api import GrafanaApi
from grafana_client.client import GrafanaException
from requests.exceptions import Timeout

from dashboards import provision, rules

TIMEOUT_SECONDS = 10.0
CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"
MESSAGE = "moorwatch grafana push"
_OF_GRAFANA = ("id", "version")  # members of a board that Grafana gives itself


class PushFailed(Exception):
    """Grafana refused, or is not there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Change:
    """`done`: created, updated or unchanged; what would be done, in a dry run."""

    kind: str
    name: str
    done: str


def push(
    url: str, token: str, prometheus: str, is_dry_run: bool = False, base: str = rules.RUNBOOKS
) -> Iterator[Change]:
    """One change after the other. Raises PushFailed, with what came before it done."""
    grafana = GrafanaApi.from_url(url, credential=token, timeout=TIMEOUT_SECONDS)
    try:
        yield from _Push(grafana, is_dry_run).everything(prometheus, base)
    except Timeout as error:
        raise PushFailed(f"Grafana at {url} does not answer within {TIMEOUT_SECONDS:g} s") from error
    except GrafanaException as error:
        raise PushFailed(_advice(url, error)) from error
    except ValueError as error:
        raise PushFailed(f"{url} does not answer as Grafana does: is that its address?") from error
    except OSError as error:
        raise PushFailed(f"Grafana at {url} cannot be reached: {_reason(error)}") from error
    finally:
        grafana.client.s.close()


def _reason(error: BaseException) -> str:
    """The operating system's words, which HTTP libraries wrap several times; else the error's own."""
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return found[1] if found else str(error)


def _advice(url: str, error: GrafanaException) -> str:
    said = f"Grafana at {url} answered {error.status_code}: {error.message}"
    match error.status_code:
        case 401:
            return f"{said}. Give the token of a service account (Administration > Service accounts)."
        case 403:
            return f"{said}. The token's service account needs the role Admin: it writes data sources and alert rules."
        case 404:
            return f"{said}. Is that Grafana's root URL, with its sub-path if it has one?"
        case 409 | 412:
            return (
                f"{said}. Something of that name or uid is there and is not ours: rename or remove it there."
            )
        case status if status >= 500:
            return f"{said}. Look at Grafana's log; pushing again goes on where this ended."
    return said


class _Push:
    def __init__(self, grafana: Any, is_dry_run: bool) -> None:
        """`grafana`: a GrafanaApi, which has no types."""
        self._grafana, self._is_dry_run = grafana, is_dry_run

    def everything(self, prometheus: str, base: str) -> Iterator[Change]:
        g = self._grafana
        yield self._one(
            "folder",
            provision.FOLDER,
            self._found(g.folder.get_folder, provision.FOLDER_UID),
            {"title": provision.FOLDER, "uid": provision.FOLDER_UID},
            lambda f: g.folder.create_folder(f["title"], uid=f["uid"]),
            lambda f: g.folder.update_folder(f["uid"], title=f["title"], overwrite=True),
        )
        source = provision.data_source(prometheus)
        yield self._one(
            "data source",
            source["name"],
            self._found(g.datasource.get_datasource_by_uid, source["uid"]),
            source,
            g.datasource.create_datasource,
            lambda s: g.datasource.update_datasource_by_uid(s["uid"], s),
        )
        for uid, board in provision.boards().items():
            yield self._board(uid, board)
        for rule in provision.alert_rules(base):
            yield self._one(
                "alert rule",
                rule["title"],
                self._found(g.alertingprovisioning.get_alertrule, rule["uid"]),
                rule,
                g.alertingprovisioning.create_alertrule,
                lambda r: g.alertingprovisioning.update_alertrule(r["uid"], r),
            )

    def _board(self, uid: str, board: Mapping[str, Any]) -> Change:
        found = self._found(self._grafana.dashboard.get_dashboard, uid)

        def write(_: Mapping[str, Any]) -> None:
            self._grafana.dashboard.update_dashboard(
                {
                    "dashboard": dict(board),
                    "folderUid": provision.FOLDER_UID,
                    "overwrite": True,
                    "message": MESSAGE,
                }
            )

        there = None
        if found is not None:
            in_folder = found.get("meta", {}).get("folderUid")
            there = {k: v for k, v in found["dashboard"].items() if k not in _OF_GRAFANA} | {
                "folder": in_folder
            }
        return self._one(
            "board", board["title"], there, {**board, "folder": provision.FOLDER_UID}, write, write
        )

    def _found(self, get: Callable[[str], Any], uid: str) -> Any:
        """None when Grafana has nothing of that uid."""
        try:
            found = get(uid)
        except GrafanaException as error:
            if error.status_code == 404 and "page" not in str(error.message).lower():
                return None
            raise
        if not isinstance(found, Mapping):
            raise ValueError("not JSON")
        return found

    def _one(
        self,
        kind: str,
        name: str,
        found: Any,
        wanted: Mapping[str, Any],
        create: Callable[[Mapping[str, Any]], Any],
        update: Callable[[Mapping[str, Any]], Any],
    ) -> Change:
        if found is not None and covers(found, wanted):
            return Change(kind, name, UNCHANGED)
        if not self._is_dry_run:
            (create if found is None else update)(wanted)
        return Change(kind, name, CREATED if found is None else UPDATED)


def covers(found: Any, wanted: Any) -> bool:
    """Whether all of `wanted` is there; Grafana adds members of its own."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            k in found and covers(found[k], v) for k, v in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(covers, found, wanted))
    return bool(found == wanted)
