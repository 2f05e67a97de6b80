"""STS GetCallerIdentity: how a client asks who it is (AWS STS API reference)."""

from __future__ import annotations

from monitor.api.operation import Context, Outcome, Params, answer, operation


@operation("sts", "GetCallerIdentity")
def get_caller_identity(ctx: Context, _params: Params) -> Outcome:
    return answer({"UserId": ctx.scope.account, "Account": ctx.scope.account, "Arn": ctx.caller_arn})
