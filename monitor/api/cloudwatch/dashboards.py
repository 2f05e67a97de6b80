"""PutDashboard, GetDashboard, ListDashboards, DeleteDashboards (CloudWatch API reference)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from monitor.api.cloudwatch.asked import SERVICE, bad_value, read_token, token
from monitor.api.operation import Context, Outcome, Params, answer, operation
from monitor.model.dashboard import Dashboard, dashboard_arn, prefix_of
from monitor.model.errors import ClientFault
from monitor.model.state import Drop, Put
from monitor.rules.dashboard import check
from monitor.rules.widget import Finding

PAGE, MOST_DELETED, MOST_TAGS = 1000, 100, 50
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")


@operation(SERVICE, "PutDashboard")
def put_dashboard(ctx: Context, params: Params) -> Outcome:
    """Replaces what was there. Tags are only taken by a dashboard that is new."""
    name, body = _named(params["DashboardName"]), params["DashboardBody"]
    errors, warnings = check(body)
    if errors:
        raise _invalid(errors)
    arn = dashboard_arn(ctx.scope.account, name)
    known = ctx.state.dashboards.get(arn)
    given = {tag["Key"]: tag["Value"] for tag in params.get("Tags") or ()}
    if len(given) > MOST_TAGS:
        raise bad_value(f"The collection Tags must not have a size greater than {MOST_TAGS}.")
    tags = given if known is None else known.tags
    told = _messages(warnings)
    return Outcome(
        lambda _: {"DashboardValidationMessages": told}, (Put(Dashboard(arn, body, ctx.now, tags)),)
    )


@operation(SERVICE, "GetDashboard")
def get_dashboard(ctx: Context, params: Params) -> Outcome:
    found = _found(ctx, _named(params["DashboardName"]))
    return answer({"DashboardArn": found.arn, "DashboardBody": found.body, "DashboardName": found.name})


@operation(SERVICE, "ListDashboards")
def list_dashboards(ctx: Context, params: Params) -> Outcome:
    """By name, 1,000 a page."""
    prefix = params.get("DashboardNamePrefix") or ""
    if prefix:
        _named(prefix, "DashboardNamePrefix")
    after = (read_token(params, (str,)) or [""])[0]
    begin = prefix_of(ctx.scope.account) + prefix
    found = sorted(
        (d for d in ctx.state.dashboards.values() if d.arn.startswith(begin)), key=lambda d: d.name
    )
    left = [d for d in found if d.name > after]
    entries = [
        {"DashboardName": d.name, "DashboardArn": d.arn, "LastModified": d.changed_at, "Size": d.size}
        for d in left[:PAGE]
    ]
    more = {"NextToken": token(left[PAGE - 1].name)} if len(left) > PAGE else {}
    return answer({"DashboardEntries": entries, **more})


@operation(SERVICE, "DeleteDashboards")
def delete_dashboards(ctx: Context, params: Params) -> Outcome:
    """All of them, or none when one is not there."""
    names = params["DashboardNames"]
    if not 1 <= len(names) <= MOST_DELETED:
        raise bad_value(
            f"The collection DashboardNames must have a size from 1 to {MOST_DELETED}: it has {len(names)}."
        )
    found = [_found(ctx, _named(name)) for name in dict.fromkeys(names)]
    return Outcome(lambda _: {}, tuple(Drop(d) for d in found))


def _named(name: str, field: str = "DashboardName") -> str:
    if not _NAME.fullmatch(name):
        raise bad_value(
            f"The value for field {field} contains invalid characters. It can only contain alphanumerics, dash (-) "
            "and underscore (_).\n"
        )
    return name


def _found(ctx: Context, name: str) -> Dashboard:
    found = ctx.state.dashboards.get(dashboard_arn(ctx.scope.account, name))
    if found is None:
        raise ClientFault("ResourceNotFound", f"Dashboard {name} does not exist", 404)
    return found


def _messages(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"DataPath": f.path, "Message": f.message} for f in findings]


def _invalid(errors: Sequence[Finding]) -> ClientFault:
    shown = json.dumps([{"dataPath": e.path, "message": e.message} for e in errors], indent=2)
    return ClientFault(
        "InvalidParameterInput",
        f"The dashboard body is invalid, there are {len(errors)} validation errors:\n{shown}",
        400,
        {"dashboardValidationMessages": _messages(errors)},
    )
