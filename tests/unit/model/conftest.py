"""What the model's tests share: recorded values for references to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import settings

from resolute.model.reference import MISSING, MissingValue

settings.register_profile("resolute", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("resolute")


@dataclass
class RecordedScope:
    """The recorded values of one run, held in plain dicts."""

    outputs: Mapping[str, Any] = field(default_factory=dict)
    given: Any = None
    environment: Mapping[str, str] = field(default_factory=dict)
    now: datetime = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    run_id: str = "run-1"
    each: Any = MISSING
    cursors: Mapping[str, Any] = field(default_factory=dict)

    def output(self, key: str) -> Any:
        if key not in self.outputs:
            raise MissingValue(key, f'There is no output "{key}".')
        return self.outputs[key]

    def input(self) -> Any:
        return self.given

    def item(self) -> Any:
        if self.each is MISSING:
            raise MissingValue("item", "There is no item.")
        return self.each

    def cursor(self, name: str) -> Any:
        if name not in self.cursors:
            raise MissingValue(name, f'The cursor "{name}" has no value.')
        return self.cursors[name]

    def env(self, name: str) -> str | None:
        return self.environment.get(name)


@pytest.fixture
def recorded() -> type[RecordedScope]:
    """Makes a scope: `recorded(outputs={"health": ...}, given=..., environment={...})`."""
    return RecordedScope
