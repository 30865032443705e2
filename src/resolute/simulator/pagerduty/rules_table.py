"""The rules as a table: what a seed file and an order over HTTP may say of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field

from resolute.errors import ConfigError
from resolute.simulator.pagerduty.rules import Rules


class RulesTable(BaseModel):
    """Fields of `Rules`; times are in seconds, and what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    processing_delay_s: float | None = Field(default=None, ge=0, le=86_400)
    events_per_minute: int | None = Field(default=None, ge=1)
    rest_per_minute: int | None = Field(default=None, ge=1)
    scarce_per_minute: int | None = Field(default=None, ge=1)
    webhook_timeout_s: float | None = Field(default=None, gt=0, le=86_400)
    webhook_pause_s: float | None = Field(default=None, gt=0, le=86_400)
    unknown_key: Literal["reject", "drop"] | None = None
    unasked_total: Literal["null", "absent"] | None = None
    require_from: bool | None = None
    repeats_are_errors: bool | None = None
    strict: bool | None = None
    time_zone: str | None = None

    def apply(self, rules: Rules) -> None:
        """Change the rules as the table says.

        Raises:
            ConfigError: there is no such time zone; nothing was changed then.
        """
        values = self.model_dump(exclude_none=True)
        if "time_zone" in values:
            values["time_zone"] = find_zone(values["time_zone"])
        for name, value in values.items():
            if name.endswith("_s"):
                setattr(rules, name.removesuffix("_s"), timedelta(seconds=value))
            else:
                setattr(rules, name, value)


def find_zone(name: str) -> ZoneInfo:
    """The time zone of this name; ConfigError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: the name of a folder
        raise ConfigError(f'The time zone "{name}" is unknown. Write one such as "Europe/Berlin".') from error
