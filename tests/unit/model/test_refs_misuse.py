"""References used as if they had a value already: every way raises and shows what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from resolute.errors import NodeMisuse, ResoluteError
from resolute.model.activity import activity
from resolute.model.refs import cursor, env, input_data, item, now, output, run_id, secret, text

NO_VALUE = "but it has no value before the run."
AS_TEXT = 'Build the text with text("... {health.message}"), or in an activity.'
AS_TEST = "In when(...) compare it (output(...) == 1), or use a predicate: lambda state: ..."
AS_VALUE = "Hand it to an activity and work with the value there, or use a predicate: lambda state: ..."


@pytest.mark.parametrize(
    ("use", "what", "fix"),
    [
        (lambda x: f"Disk {x}", "put into an f-string or format()", AS_TEXT),
        (lambda x: "{}".format(x), "put into an f-string or format()", AS_TEXT),  # noqa: UP032
        (lambda x: "%s" % x, "turned into text", AS_TEXT),  # noqa: UP031
        (lambda x: str(x), "turned into text", AS_TEXT),
        (lambda x: x + " is full", "added to something", AS_TEXT),
        (lambda x: "Disk " + x, "added to something", AS_TEXT),
        (lambda x: bool(x), "used as a truth value", AS_TEST),
        (lambda x: x and 1, "used as a truth value", AS_TEST),
        (lambda x: not x, "used as a truth value", AS_TEST),
        (lambda x: list(x), "iterated over", AS_VALUE),
        (lambda x: [*x], "iterated over", AS_VALUE),
        (lambda x: 1 in x, "searched with `in`", AS_VALUE),
        (lambda x: len(x), "iterated over with len()", AS_VALUE),
        (lambda x: int(x), "turned into a number", AS_VALUE),
        (lambda x: float(x), "turned into a number", AS_VALUE),
        (lambda x: x.status, "asked for its .status", 'Write output("disk.status").'),
        (lambda x: x["status"], "asked for its ['status']", 'Write output("disk.status").'),
        (lambda x: x["a.b"], "asked for its ['a.b']", 'Write output("disk", "a.b").'),
        (lambda x: x[0], "asked for its [0]", 'Write output("disk.0").'),
        (lambda x: x[1:], "asked for its [slice(1, None, None)]", AS_VALUE),
    ],
)
def test_a_reference_used_as_a_value_raises_with_the_fix(use: Callable[[Any], Any], what: str, fix: str) -> None:
    """`f"... {output('x')}"` must not page "<ref>": it fails where it is written."""
    with pytest.raises(NodeMisuse) as caught:
        use(output("disk"))

    assert str(caught.value) == f'output("disk") was {what}, {NO_VALUE} {fix}'


async def test_a_reference_that_is_awaited_raises_with_the_fix() -> None:
    """A reference is no coroutine, and the error says where its value can be had."""
    with pytest.raises(NodeMisuse) as caught:
        await output("disk")

    assert str(caught.value) == f'output("disk") was awaited, {NO_VALUE} {AS_VALUE}'


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        (output("a.b", "c.d"), 'output("a.b", "c.d")'),
        (input_data("a"), 'input_data("a")'),
        (item("a"), 'item("a")'),
        (cursor("a"), 'cursor("a")'),
        (secret("TOKEN"), 'secret("TOKEN")'),
        (env("HOST"), 'env("HOST")'),
        (run_id(), "run_id()"),
        (text("{a}"), "text('{a}')"),
        (now(), "now()"),
    ],
)
def test_every_kind_of_reference_refuses_to_become_text(reference: object, shown: str) -> None:
    """Those typed `str` and `datetime` for mypy's sake are no exception."""
    with pytest.raises(NodeMisuse) as caught:
        f"{reference}"

    assert str(caught.value) == f"{shown} was put into an f-string or format(), {NO_VALUE} {AS_TEXT}"


@pytest.mark.parametrize(
    ("use", "fix"),
    [
        (lambda: now().isoformat(), f"now() was asked for its .isoformat, {NO_VALUE} {AS_VALUE}"),
        (lambda: text("a").upper(), f"text('a') was asked for its .upper, {NO_VALUE} {AS_VALUE}"),
        (
            lambda: input_data("a").b,
            f'input_data("a") was asked for its .b, {NO_VALUE} Write input_data("a.b").',
        ),
        (
            lambda: item()["a.b"],
            f'item() was asked for its [\'a.b\'], {NO_VALUE} Write item("", "a.b").',
        ),
        (
            lambda: item("a").b,
            f'item("a") was asked for its .b, {NO_VALUE} Write item("a.b").',
        ),
        (
            lambda: cursor("since").year,
            f'cursor("since") was asked for its .year, {NO_VALUE} {AS_VALUE}',
        ),
        (
            lambda: input_data().b,
            f'input_data("") was asked for its .b, {NO_VALUE} Write input_data("b").',
        ),
    ],
)
def test_a_method_or_field_of_a_reference_raises_with_the_fix(use: Callable[[], Any], fix: str) -> None:
    """What mypy lets pass, because the reference is typed as its value, fails in the flow's file all the same."""
    with pytest.raises(NodeMisuse) as caught:
        use()

    assert str(caught.value) == fix


@activity
def check() -> int: ...


@pytest.mark.parametrize(
    ("use", "fix"),
    [
        (
            lambda: output(check().as_("disk")),
            'output() was given a node. An output is read by its key: output("disk").',
        ),
        (
            lambda: item(check()),
            'item() was given a node. An output is read by its key: output("check").',
        ),
        (lambda: output(5), 'output() takes a path, not 5: output("health.status").'),
        (lambda: input_data(None), 'input_data() takes a path, not None: input_data("health.status").'),
        (
            lambda: output("disks", 0),
            'output() takes texts as further keys, not 0: output("disks", "0").',
        ),
        (lambda: secret(""), "secret() takes a name, not '': secret(\"SLACK_TOKEN\")."),
        (lambda: env(5), 'env() takes a name, not 5: env("REGION").'),
        (lambda: cursor(None), 'cursor() takes a name, not None: cursor("since").'),
    ],
)
def test_a_reference_to_what_is_no_name_raises_with_the_fix(use: Callable[[], Any], fix: str) -> None:
    """Keys, paths and names are texts; a node is read by its key."""
    with pytest.raises(NodeMisuse) as caught:
        use()

    assert str(caught.value) == fix


def test_a_reference_looks_like_any_object_to_code_that_asks_for_attributes() -> None:
    """`hasattr` and `getattr` with a default keep working, as copying and validating libraries need it."""
    assert not hasattr(output("disk"), "status")
    assert getattr(output("disk"), "status", None) is None
    assert not hasattr(output("disk"), "__html__")


@pytest.mark.parametrize("shift", [3600, 1.5, "1h", None])
def test_now_shifted_by_something_else_than_a_timedelta_raises(shift: Any) -> None:
    """`now() + 3600` says nothing about its unit."""
    expected = f"now() was shifted by {shift!r}; a time is shifted by a timedelta. Write now() + timedelta(hours=1)."

    for use in (lambda: now() + shift, lambda: shift + now(), lambda: now() - shift):
        with pytest.raises(NodeMisuse) as caught:
            use()
        assert str(caught.value) == expected


def test_now_has_no_place_behind_a_minus() -> None:
    """A time taken from a time span has no meaning, and Python says so."""
    with pytest.raises(TypeError, match="unsupported operand"):
        timedelta(hours=1) - now()


def test_a_reference_cannot_be_dumped_as_json() -> None:
    """A reference that slips into an activity's hands does not become text there."""
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps({"summary": output("disk")})


def test_misuse_is_both_ours_and_a_type_error() -> None:
    """It can be caught as a ResoluteError, and tools that expect Python's own TypeError see one."""
    assert issubclass(NodeMisuse, ResoluteError)
    assert issubclass(NodeMisuse, TypeError)
