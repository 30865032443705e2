"""`item(...)` and `cursor(...)`: what they resolve to, and what they say when there is nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolute.model.reference import MissingValue, resolve
from resolute.model.refs import cursor, item, now, output, text

Recorded = Callable[..., Any]

USER = {"id": 7, "name": {"first": "Ada"}, "tags": ["ops", "db"], "a.b": 1}
SINCE = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (item(), USER),
        (item(""), USER),
        (item("id"), 7),
        (item("name.first"), "Ada"),
        (item("tags.-1"), "db"),
        (item("", "a.b"), 1),
        (item("name", "first"), "Ada"),
        (item("nope", default=output("x")), "made"),
        ({"who": [item("id")]}, {"who": [7]}),
        (text("{who}: {n}", who=item("name.first"), n=item("id")), "Ada: 7"),
    ],
    ids=repr,
)
def test_an_item_is_walked_like_an_output(recorded: Recorded, reference: Any, expected: object) -> None:
    """Dots, indexes, literal keys and defaults mean the same as everywhere."""
    assert resolve(reference, recorded(each=USER, outputs={"x": "made"})) == expected


@pytest.mark.parametrize("each", [None, 0, "", [], 7])
def test_an_item_may_be_anything(recorded: Recorded, each: object) -> None:
    """The whole item keeps its native type, what is empty included."""
    assert resolve(item(), recorded(each=each)) is each


def test_an_item_that_lacks_the_path_says_where_it_broke_off(recorded: Recorded) -> None:
    """The text names the path and what is there."""
    with pytest.raises(MissingValue) as caught:
        resolve(item("name.last"), recorded(each=USER))

    assert str(caught.value) == '"item.name" has no key "last". Known here: "first".'


def test_without_an_each_the_default_is_taken(recorded: Recorded) -> None:
    """And without a default the scope's reason is told."""
    assert resolve(item("x", default=5), recorded()) == 5
    with pytest.raises(MissingValue, match=r"^There is no item\.$"):
        resolve(item("x"), recorded())


def test_a_cursor_resolves_to_its_value(recorded: Recorded) -> None:
    """In its declared type, as the scope has it; the default stands in until it is moved."""
    scope = recorded(cursors={"since": SINCE, "zero": 0})

    assert resolve(cursor("since"), scope) is SINCE
    assert resolve(cursor("zero", default=9), scope) == 0
    assert resolve(cursor("new", default=now() - timedelta(hours=1)), scope) == scope.now - timedelta(hours=1)
    with pytest.raises(MissingValue, match=r'^The cursor "new" has no value\.$'):
        resolve(cursor("new"), scope)


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        (item(), "item()"),
        (item("a.b"), 'item("a.b")'),
        (item("a", "b.c"), 'item("a", "b.c")'),
        (item("", "b.c"), 'item("", "b.c")'),
        (cursor("since"), 'cursor("since")'),
    ],
)
def test_items_and_cursors_are_shown_as_they_were_written(reference: object, written: str) -> None:
    """Error texts quote the author's own line."""
    assert repr(reference) == written
