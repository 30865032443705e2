"""The activities and the flows that the promises share."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resolute import Flow, Node, Page, Retry, activity, current, flow, manual, output, paginated, secret
from resolute.model.flow import FlowBuilder, Part
from resolute.providers import pagerduty
from tests.contract.engine.book import Book

#: The routing key of the machine's account.
KEY = secret("PAGERDUTY_ROUTING_KEY")


def book() -> Book:
    """The book of the machine on which the attempt runs."""
    found: Book = current().provider("book")
    return found


@activity
async def act(given: Any = None) -> Any:
    """Does what the test has said for its node; else returns what it was given, or else its key."""
    return await book().perform(given)


@activity
def act_in_thread(given: Any = None) -> Any:
    """The same as a plain function."""
    own = book()
    behaviour = own.plan(own.note(given))
    if isinstance(behaviour, BaseException):
        raise behaviour
    return behaviour() if callable(behaviour) else behaviour


@paginated
async def walk_pages(page: Any, given: Any = None) -> Page[Any]:
    """A list of which the test says what stands on each page."""
    found: Page[Any] = await book().perform({"page": page, "given": given})
    return found


def do(key: str, given: Any = None, *, tries: int = 1) -> Node[Any]:
    """A node of `act` that is attempted so often."""
    return act(given=given).as_(key).with_retry(Retry(initial=timedelta(seconds=1), attempts=tries))


def undoable(key: str, given: Any = None) -> Node[Any]:
    """A node that is undone by one of the key "undo_…", which is given what the node put out."""
    return do(key, given).undo(do(f"undo_{key}", output(key)))


def page(key: str = "page", alert: str = "disk", **fields: Any) -> Node[Any]:
    """A node that pages."""
    return pagerduty.trigger_event(
        routing_key=KEY,
        **{"summary": "Disk full", "source": "db-1", "severity": "critical", "dedup_key": alert, **fields},
    ).as_(key)


def begin(name: str = "f") -> FlowBuilder:
    """A flow that is started by hand."""
    return flow(name).triggered_by(manual())


def of(*parts: Part, name: str = "f") -> Flow:
    """A flow of these parts."""
    return begin(name).then(*parts).build()
