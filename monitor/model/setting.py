"""AccountSetting: one value of an account in a region, for everyone (principal "") or for one principal."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.model.arn import Scope


@dataclass(frozen=True, slots=True)
class AccountSetting:
    """`principal`: "" is the account's default, else a principal's ARN."""

    account: str
    region: str
    principal: str
    name: str
    value: str

    @property
    def key(self) -> str:
        return f"{self.account}/{self.region}/{self.principal}/{self.name}"

    @property
    def scope(self) -> Scope:
        return Scope(self.account, self.region)
