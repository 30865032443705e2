"""`RateLimit`: how often a node may be attempted, by itself or together with others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class RateLimit:
    """At most so many attempts in any stretch of time of this length.

    A node that has to wait for its turn uses no attempt and no slot of the worker meanwhile.

    Attributes:
        limit: attempts in a period, 1 or more.
        per: the period.
        name: nodes with the same name share the limit; None for a limit of the node's own.
    """

    limit: int
    per: timedelta = timedelta(seconds=1)
    name: str | None = None

    def problems(self) -> list[str]:
        """What is wrong with it, as sentences."""
        found = []
        if not isinstance(self.limit, int) or isinstance(self.limit, bool) or self.limit < 1:
            found.append(f"RateLimit({self.limit!r}) takes a whole number of attempts from 1: RateLimit(5, per=...).")
        if not isinstance(self.per, timedelta) or self.per <= timedelta(0):
            found.append(
                f"RateLimit(per=...) takes a timedelta of more than nothing, not {self.per!r}: timedelta(minutes=1)."
            )
        if self.name is not None and (not isinstance(self.name, str) or not self.name):
            found.append(f"RateLimit(name=...) takes a text, or None for a limit of its own, not {self.name!r}.")
        return found


def limit_clashes(used: Iterable[tuple[str, RateLimit]]) -> list[str]:
    """Limits that share a name but not their numbers, as sentences.

    Args:
        used: who uses it, in words, and the limit.
    """
    known: dict[str, tuple[str, RateLimit]] = {}
    found = []
    for user, limit in used:
        if limit.name is None:
            continue
        first, other = known.setdefault(limit.name, (user, limit))
        if other != limit:
            found.append(
                f'Two rate limits are named "{limit.name}": {other.limit} in {other.per} for {first}, '
                f"{limit.limit} in {limit.per} for {user}. Make them equal, or give one another name."
            )
    return found
