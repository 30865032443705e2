"""Triggers: what starts the runs of a flow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

from resolute.cron import problem_with
from resolute.model.webhook import Webhook

Overlap = Literal["allow", "skip", "queue"]
CatchUp = Literal["latest", "all", "skip"]
OVERLAPS: Final[tuple[Overlap, ...]] = get_args(Overlap)
CATCH_UPS: Final[tuple[CatchUp, ...]] = get_args(CatchUp)


_NO_TEXTS: Final = 'schedule({!r}, timezone={!r}) takes texts: schedule("*/5 * * * *", timezone="Europe/Berlin").'


@dataclass(frozen=True)
class Schedule:
    """Starts a run at each tick of a cron expression.

    Attributes:
        cron: five fields, or six with seconds first, or a nickname such as "@hourly".
        timezone: IANA name of the zone the fields are read in.
        overlap: what a tick does while an earlier run of this schedule is unfinished: "allow" starts its run all the
            same, "skip" starts none, "queue" lets its run begin when the one before it has ended.
        catch_up: which ticks missed while no worker ran are made up: the "latest", "all" in their order, or none
            ("skip").
        catch_up_window: how far back they are made up.
    """

    cron: str
    timezone: str = "UTC"
    overlap: Overlap = "allow"
    catch_up: CatchUp = "latest"
    catch_up_window: timedelta = timedelta(days=1)

    @property
    def id(self) -> str:
        """Names this trigger among those of its flow."""
        return f"schedule:{self.cron}:{self.timezone}"

    def problems(self) -> list[str]:
        found = []
        texts = isinstance(self.cron, str) and isinstance(self.timezone, str)
        fault = problem_with(self.cron, self.timezone) if texts else _NO_TEXTS.format(self.cron, self.timezone)
        if fault:
            found.append(fault)
        for name, value, known in (("overlap", self.overlap, OVERLAPS), ("catch_up", self.catch_up, CATCH_UPS)):
            if value not in known:
                listed = ", ".join(f'"{each}"' for each in known)
                found.append(
                    f'schedule({name}={value!r}) is not known. Use one of {listed}; "{known[0]}" is the default.'
                )
        window = self.catch_up_window
        if not isinstance(window, timedelta):
            found.append(f"schedule(catch_up_window={window!r}) takes a timedelta: catch_up_window=timedelta(days=1).")
        elif window <= timedelta(0):
            found.append(
                f'schedule(catch_up_window={window!r}) reaches back to nothing. Use catch_up="skip" to make up for '
                "no tick."
            )
        return found


@dataclass(frozen=True)
class Manual:
    """Starts a run when a person or program asks for it by this name."""

    name: str

    @property
    def id(self) -> str:
        """Names this trigger among those of its flow."""
        return f"manual:{self.name}"

    def problems(self) -> list[str]:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", self.name):
            return [f'manual({self.name!r}) needs a name of letters, digits, ".", "_" and "-".']
        return []


Trigger = Schedule | Manual | Webhook


def schedule(
    cron: str,
    *,
    timezone: str = "UTC",
    overlap: Overlap = "allow",
    catch_up: CatchUp = "latest",
    catch_up_window: timedelta = timedelta(days=1),
) -> Schedule:
    """Start a run at each tick: `schedule("*/5 * * * *", timezone="Europe/Berlin")`.

    Args:
        overlap: what a tick does while an earlier run of this schedule is unfinished: "allow" starts its run all the
            same, "skip" starts none, "queue" lets its run begin when the one before it has ended.
        catch_up: which ticks missed while no worker ran are made up: the "latest", "all" in order, or none ("skip").
        catch_up_window: how far back they are made up.
    """
    return Schedule(cron, timezone, overlap, catch_up, catch_up_window)


def manual(name: str = "manual") -> Manual:
    """Start runs by hand or from a program: `resolute run FLOW`, `client.start(FLOW)`."""
    return Manual(name)
