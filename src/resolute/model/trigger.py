"""Triggers: what starts the runs of a flow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from resolute.cron import problem_with

Overlap = Literal["allow", "skip", "queue"]
CatchUp = Literal["latest", "all", "skip"]


_NO_TEXTS: Final = 'schedule({!r}, timezone={!r}) takes texts: schedule("*/5 * * * *", timezone="Europe/Berlin").'


@dataclass(frozen=True)
class Schedule:
    """Starts a run at each tick of a cron expression.

    Attributes:
        cron: five fields, or six with seconds first, or a nickname such as "@hourly".
        timezone: IANA name of the zone the fields are read in.
        overlap: what happens while an earlier run is unfinished.
        catch_up: which ticks missed while no worker ran are made up.
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
        if self.overlap != "allow":
            found.append(f'schedule(overlap="{self.overlap}") is not supported yet. Use overlap="allow" (the default).')
        if self.catch_up != "latest":
            found.append(
                f'schedule(catch_up="{self.catch_up}") is not supported yet. Use catch_up="latest" (the default).'
            )
        if self.catch_up_window != timedelta(days=1):
            found.append("schedule(catch_up_window=...) is not supported yet. Leave it at one day (the default).")
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


Trigger = Schedule | Manual


def schedule(
    cron: str,
    *,
    timezone: str = "UTC",
    overlap: Overlap = "allow",
    catch_up: CatchUp = "latest",
    catch_up_window: timedelta = timedelta(days=1),
) -> Schedule:
    """Start a run at each tick: `schedule("*/5 * * * *", timezone="Europe/Berlin")`."""
    return Schedule(cron, timezone, overlap, catch_up, catch_up_window)


def manual(name: str = "manual") -> Manual:
    """Start runs by hand or from a program: `resolute run FLOW`, `client.start(FLOW)`."""
    return Manual(name)
