"""The answers that PagerDuty publishes as examples, read by the provider: none of them is refused, and little is lost.

RESOLUTE_PAGERDUTY_SCHEMA names the folder that holds `rest.json`, as published in the repository PagerDuty/api-schema
(a subset will do). Without it these tests skip.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from resolute.clock import SystemClock
from resolute.providers.pagerduty import PagerDutyClient
from resolute.providers.pagerduty.config import PagerDutySettings

FOLDER = os.environ.get("RESOLUTE_PAGERDUTY_SCHEMA")
pytestmark = pytest.mark.skipif(not FOLDER, reason="RESOLUTE_PAGERDUTY_SCHEMA names no folder with PagerDuty's schemas")

Ask = Callable[[PagerDutyClient], Any]
NOW = datetime.now(UTC)
#: Operation → the request that is answered with its examples, and what the output has to show of them.
ASKS: dict[tuple[str, str], tuple[Ask, str]] = {
    ("get", "/incidents"): (lambda c: c.list_incidents(), "incidents"),
    ("post", "/incidents"): (lambda c: c.create_incident(title="t", service_id="P1", incident_key="k"), "id"),
    ("get", "/incidents/{id}"): (lambda c: c.get_incident("P1"), "id"),
    ("put", "/incidents/{id}"): (lambda c: c.update_incident("P1", title="t"), "id"),
    ("post", "/incidents/{id}/snooze"): (lambda c: c.snooze_incident("P1", duration=timedelta(hours=1)), "id"),
    ("get", "/incidents/{id}/alerts"): (lambda c: c.list_alerts("P1"), "alerts"),
    ("get", "/incidents/{id}/log_entries"): (lambda c: c.list_log_entries("P1"), "log_entries"),
    ("get", "/incidents/{id}/notes"): (lambda c: c.list_notes("P1"), ""),
    ("post", "/incidents/{id}/notes"): (lambda c: c.add_note("P1", content="t"), "id"),
    ("get", "/oncalls"): (lambda c: c.get_on_calls(), "oncalls"),
    ("get", "/services"): (lambda c: c.list_services(), "services"),
    ("get", "/priorities"): (lambda c: c.list_priorities(), ""),
    ("get", "/users"): (lambda c: every(c.iter_users()), ""),
    ("get", "/webhook_subscriptions"): (lambda c: c.list_webhook_subscriptions(), ""),
    ("post", "/webhook_subscriptions"): (
        lambda c: c.create_webhook_subscription("https://example.com", events=["incident.triggered"]),
        "id",
    ),
}


async def every(found: Any) -> list[Any]:
    """All that comes."""
    return [each async for each in found]


def examples() -> Iterator[Any]:
    """Each published example of a success, with its operation."""
    if not FOLDER:
        return
    whole = json.loads((Path(FOLDER) / "rest.json").read_text(encoding="utf-8"))

    def followed(part: Any) -> Any:
        while isinstance(part, dict) and "$ref" in part:
            target: Any = whole
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            part = target
        return part

    for method, path in ASKS:
        for status, response in whole["paths"][path][method]["responses"].items():
            if status.startswith("2"):
                content = followed(response).get("content", {}).get("application/json", {})
                for name, example in content.get("examples", {}).items():
                    yield pytest.param(method, path, followed(example)["value"], id=f"{method} {path} {name}")


@pytest.mark.parametrize(("method", "path", "value"), list(examples()))
async def test_a_published_example_is_read(method: str, path: str, value: Any) -> None:
    """Nulls that the schema forbids, references in place of objects, and fields nobody knows included."""
    ask, shown = ASKS[method, path]
    transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={**value, "more": False}))
    settings = PagerDutySettings(api_key="RestKeyRestKey123456", default_from="ada@example.com")
    output = await ask(PagerDutyClient(settings, clock=SystemClock(), transport=transport))
    found = getattr(output, shown) if shown else output
    assert found
    for each in found if isinstance(found, list) else [output]:
        written = each.model_dump()
        assert any(written.get(name) for name in ("id", "name", "user"))


def test_every_operation_that_is_read_has_an_example() -> None:
    """So that none of the above is empty."""
    assert {(case.values[0], case.values[1]) for case in examples()} == set(ASKS)
