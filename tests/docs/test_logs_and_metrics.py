"""The page on metrics names those that there are, and no others."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from resolute import activity, flow, schedule
from resolute.engines.embedded.engine import EmbeddedEngine
from resolute.engines.embedded.memory import MemoryStore
from resolute.metrics import Metrics
from resolute.ports import Ports
from tests.docs.page import ROOT

PAGE = (ROOT / "docs/howto/logs-and-metrics.md").read_text(encoding="utf-8")


@activity
async def look() -> None:
    pass


@pytest.fixture
async def shown() -> dict[str, set[str]]:
    """Name of each metric as it is written in a query → its labels."""
    ports = Ports()
    hourly = flow("hourly").triggered_by(schedule("@hourly")).then(look()).build()
    engine = EmbeddedEngine(
        MemoryStore(), [hourly], clock=ports.clock, randomness=ports.randomness, secrets=ports.secrets
    )
    engine.core.webhook_answers[202] += 1
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(Metrics(engine).render().decode()):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = {label for sample in family.samples for label in sample.labels}
    return found


async def test_every_metric_is_told_with_its_labels(shown: dict[str, set[str]]) -> None:
    """In the table; a histogram has labels once something was timed."""
    told = {
        row[1]: set(re.findall(r"`(\w+)`", row[2]))
        for row in re.finditer(r"^\| `(resolute_\w+)` \| ([^|]*) ?\|", PAGE, re.MULTILINE)
    }
    assert set(told) == set(shown)
    assert {name: labels for name, labels in told.items() if shown[name] and shown[name] != labels} == {}


async def test_alerts_ask_for_metrics_that_there_are(shown: dict[str, set[str]]) -> None:
    """A misspelt name would never alert."""
    rules = PAGE.partition("groups:")[2].partition("```")[0]
    asked = set(re.findall(r"\bresolute_\w+", rules))
    assert len(asked) >= 5
    assert asked <= set(shown)
