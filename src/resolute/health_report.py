"""`HealthReport`: what was found of a worker's health at one moment, as it is told to programs and read by them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from resolute.jsontypes import JsonValue

#: What a worker needs to keep what it is given; the rest tells how it fares with that.
READINESS: Final = frozenset({"journal", "disk"})


@dataclass(frozen=True)
class Check:
    """One answer.

    Attributes:
        name: of the check, always the same.
        detail: what was found, a sentence for people.
    """

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class HealthReport:
    """What was found at one moment."""

    checks: tuple[Check, ...]

    @property
    def is_well(self) -> bool:
        """Whether every check is well."""
        return all(check.ok for check in self.checks)

    @property
    def failing(self) -> tuple[Check, ...]:
        """The checks that are not."""
        return tuple(check for check in self.checks if not check.ok)

    @property
    def reasons(self) -> str:
        """What is not well, for a line of the log; "" when all is."""
        by_detail: dict[str, list[str]] = {}
        for check in self.failing:
            by_detail.setdefault(check.detail, []).append(check.name)
        return "; ".join(f"{', '.join(names)}: {detail}" for detail, names in by_detail.items())

    def only(self, names: Collection[str]) -> HealthReport:
        """The report of these checks."""
        return HealthReport(tuple(check for check in self.checks if check.name in names))

    @classmethod
    def from_json(cls, told: Any) -> HealthReport:
        """The report that `as_json` made this of; raises KeyError, TypeError, ValueError when it is none."""
        if told["status"] not in ("ok", "failing"):
            raise ValueError(told["status"])
        checks = told.get("checks", ())
        return cls(tuple(Check(str(each["name"]), bool(each["ok"]), str(each["detail"])) for each in checks))

    def as_json(self) -> JsonValue:
        """The report for programs."""
        checks: list[JsonValue] = [vars(check).copy() for check in self.checks]
        return {"status": "ok" if self.is_well else "failing", "checks": checks}
