"""What answers refer to can be asked for; and the tour of the contract leaves no operation out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from resolute.simulator.pagerduty.operations import OPERATIONS
from tests.contract.simulator.tour import Tour


def test_every_operation_answers_well() -> None:
    """As its own table says, whether or not PagerDuty's documents are at hand."""
    good = Tour().good_answers()
    assert {name: {answer.status for answer in answers} for name, answers in good.items()} == {
        operation.name: {operation.status} for operation in OPERATIONS
    }


def test_every_link_can_be_followed() -> None:
    """What an answer refers to is there, and is what was referred to; priorities have no page of their own."""
    tour = Tour()
    base = tour.world.base_url
    bodies = [answer.json() for answers in tour.reads_of_all() for answer in answers if answer.body]
    found = {
        (each["self"], each["id"]) for body in bodies for each in linked(body) if "/priorities/" not in each["self"]
    }
    assert len(found) > 30
    for address, id_ in found:
        answer = tour.send("GET", address.removeprefix(base))
        assert answer.status == 200, address
        [thing] = answer.json().values()
        assert thing["id"] == id_


def linked(value: Any) -> Iterator[dict[str, Any]]:
    """Every object that has a link to itself, at any depth."""
    if isinstance(value, dict):
        if value.get("self"):
            yield value
        for each in value.values():
            yield from linked(each)
    elif isinstance(value, list):
        for each in value:
            yield from linked(each)
