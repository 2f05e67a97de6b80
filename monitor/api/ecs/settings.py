"""Account settings: put, delete, list (ECS API reference, PutAccountSetting; developer guide, "Account settings")."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.api.operation import Context, Outcome, Params, answer, operation, page, with_token
from monitor.model.errors import invalid_parameter
from monitor.model.setting import AccountSetting
from monitor.model.state import Drop, Put

_SWITCH = ("enabled", "disabled")
# Name → (allowed values, default).
SETTINGS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "serviceLongArnFormat": (_SWITCH, "enabled"),
    "taskLongArnFormat": (_SWITCH, "enabled"),
    "containerInstanceLongArnFormat": (_SWITCH, "enabled"),
    "awsvpcTrunking": (_SWITCH, "disabled"),
    "containerInsights": (("enhanced", *_SWITCH), "disabled"),
    "fargateFIPSMode": (_SWITCH, "disabled"),
    "tagResourceAuthorization": (("on", "off"), "on"),
    "fargateTaskRetirementWaitPeriod": (("0", "7", "14"), "7"),
    "guardDutyActivate": (("on", "off"), "off"),
    "defaultLogDriverMode": (("blocking", "non-blocking"), "non-blocking"),
    "fargateEventWindows": (_SWITCH, "disabled"),
}
READ_ONLY = "guardDutyActivate"


def effective(ctx: Context, name: str, principal: str = "") -> str:
    """The value in force: the principal's own, else the account's, else ECS's default."""
    for whose in (principal, ""):
        found = ctx.state.settings.get(_setting(ctx, whose, name, "").key)
        if found is not None:
            return found.value
    return SETTINGS[name][1]


def _setting(ctx: Context, principal: str, name: str, value: str) -> AccountSetting:
    return AccountSetting(ctx.scope.account, ctx.scope.region, principal, name, value)


def _checked(ctx: Context, params: Params, principal: str) -> AccountSetting:
    name, value = params["name"], params["value"]
    if name not in SETTINGS:
        raise invalid_parameter(f"unknown should be one of [{','.join(SETTINGS)}]")
    if name == READ_ONLY:
        raise invalid_parameter(f"{READ_ONLY} is managed by the service and can only be listed.")
    allowed = SETTINGS[name][0]
    if value not in allowed:
        raise invalid_parameter(
            f"Invalid value {value[:64]!r} for {name}: it should be one of {list(allowed)}."
        )
    return _setting(ctx, principal, name, value)


def _view(ctx: Context, name: str, value: str, principal: str) -> dict[str, str]:
    kind = "aws_managed" if name == READ_ONLY else "user"
    return {"name": name, "value": value, "principalArn": principal or ctx.caller_arn, "type": kind}


@operation("ecs", "PutAccountSetting")
def put_account_setting(ctx: Context, params: Params) -> Outcome:
    """For the caller, or the principal named."""
    setting = _checked(ctx, params, params.get("principalArn") or ctx.caller_arn)
    body = {"setting": _view(ctx, setting.name, setting.value, setting.principal)}
    return Outcome(lambda _: body, (Put(setting),))


@operation("ecs", "PutAccountSettingDefault")
def put_account_setting_default(ctx: Context, params: Params) -> Outcome:
    """For all who have no setting of their own."""
    setting = _checked(ctx, params, "")
    body = {"setting": _view(ctx, setting.name, setting.value, "")}
    return Outcome(lambda _: body, (Put(setting),))


@operation("ecs", "DeleteAccountSetting")
def delete_account_setting(ctx: Context, params: Params) -> Outcome:
    """The principal's own value goes: the account's counts again."""
    name, principal = params["name"], params.get("principalArn") or ctx.caller_arn
    if name not in SETTINGS:
        raise invalid_parameter(f"unknown should be one of [{','.join(SETTINGS)}]")
    known = ctx.state.settings.get(_setting(ctx, principal, name, "").key)
    account = ctx.state.settings.get(_setting(ctx, "", name, "").key)
    value = account.value if account is not None else SETTINGS[name][1]
    body = {"setting": _view(ctx, name, value, principal)}
    return Outcome(lambda _: body, () if known is None else (Drop(known),))


@operation("ecs", "ListAccountSettings")
def list_account_settings(ctx: Context, params: Params) -> Outcome:
    """Those set for the principal (the caller unless named); with effectiveSettings every one, as it is in force."""
    principal = params.get("principalArn") or ctx.caller_arn
    wanted, value = params.get("name"), params.get("value")
    if value is not None and wanted is None:
        raise invalid_parameter("value needs a name: give both.")
    shown: dict[str, str] = {}
    for name in SETTINGS:
        if wanted not in (None, name):
            continue
        own = ctx.state.settings.get(_setting(ctx, principal, name, "").key)
        if params.get("effectiveSettings"):
            shown[name] = effective(ctx, name, principal)
        elif own is not None:
            shown[name] = own.value
    names = [n for n, v in shown.items() if value in (None, v)]
    chunk, token = page(names, params, default=10, most=10)
    body = {"settings": [_view(ctx, n, shown[n], principal) for n in chunk]}
    return answer(with_token(body, token))
