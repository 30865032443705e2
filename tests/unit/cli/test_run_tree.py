"""The journal as a tree: nested, in order, and short however many rounds there were."""

from __future__ import annotations

import pytest

from resolute.cli.run_tree import tree
from resolute.engine import NodeView
from tests.unit.cli.journal import entry


def drawn(*nodes: NodeView, whole: bool = False) -> list[str]:
    """Each line as it is indented, with its status and what a step comes to as a whole."""
    lines = tree(nodes, whole=whole)
    return [f"{'  ' * line.depth}{line.name} {line.status} {line.about}".rstrip() for line in lines]


def items(count: int, **others: str) -> list[NodeView]:
    """The work on each of some items; `others` are the items (i7="failed") that are not done."""
    statuses = [others.get(f"i{index}", "done") for index in range(count)]
    over = entry("drain", kind="each", output=list(range(count)))
    return [over, *(entry(f"drain[{index}]/stop", status) for index, status in enumerate(statuses))]


def test_branches_stand_inside_their_step() -> None:
    """A step without an entry of its own is a line, too, with the status of what is inside."""
    assert drawn(entry("check"), entry("both/left"), entry("both/right", "running")) == [
        "check done",
        "both running",
        "  left done",
        "  right running",
    ]


def test_few_items_have_a_line_each() -> None:
    """One with a single node inside is a line with it."""
    assert drawn(*items(2, i1="running")) == [
        "drain running 1 of 2 done",
        "  drain[0]/stop done",
        "  drain[1]/stop running",
    ]


def test_items_stand_in_the_order_of_the_list() -> None:
    """Whichever was begun first."""
    over, *begun = items(3)
    assert drawn(over, *reversed(begun))[1:] == [f"  drain[{index}]/stop done" for index in range(3)]


def test_many_items_that_are_alike_are_one_line() -> None:
    """What is under way or has failed keeps its own."""
    assert drawn(*items(100, i98="running", i99="waiting", i40="failed")) == [
        "drain running 97 of 100 done",
        "  drain[0..39] done",
        "  drain[40]/stop failed",
        "  drain[41..97] done",
        "  drain[98]/stop running",
        "  drain[99]/stop waiting",
    ]


def test_of_many_that_wait_the_first_are_shown() -> None:
    """A thousand waiting items are not a thousand lines."""
    lines = drawn(*items(1000, **{f"i{index}": "waiting" for index in range(1000)}))
    assert lines[-2:] == ["  drain[4]/stop waiting", "  drain[5..999] waiting"]


def test_list_of_lines_ends_somewhere() -> None:
    """Failures that are strewn about do not make it endless; the rest is counted."""
    lines = drawn(*items(1000, **{f"i{index}": "failed" for index in range(0, 1000, 2)}))
    assert len(lines) < 40
    assert lines[-1].endswith("failed 485 failed, 485 done")


@pytest.mark.parametrize("whole", [False, True])
def test_everything_can_be_shown(whole: bool) -> None:
    """Each item and entry, for whoever asks for all."""
    lines = drawn(*items(50), entry("~result", kind="result"), whole=whole)
    assert ("~result done" in lines, len(lines)) == ((True, 102) if whole else (False, 2))


def test_latest_round_of_a_loop_is_shown() -> None:
    """Those before it are one line, and the tests that let it go on are none."""
    rounds = [
        node
        for number in range(9)
        for node in (
            entry(f"poll[{number}]", kind="round"),
            entry(f"poll[{number}]/look"),
            entry(f"poll[{number}]~until", kind="branch"),
            entry(f"poll[{number}]~every", "waiting" if number == 8 else "done", kind="sleep"),
        )
    ]
    assert drawn(entry("poll", kind="loop"), *rounds) == [
        "poll waiting",
        "  poll[0..7] done",
        "  poll[8] waiting",
        "    look done",
        "    poll[8]~every waiting",
    ]


def test_item_that_was_not_begun_is_skipped() -> None:
    """After a failure, where the step does not keep going."""
    begun = [entry(f"drain[{index}]", kind="item", output=index < 1) for index in range(3)]
    over = entry("drain", kind="each", output=[1, 2, 3])
    assert drawn(over, *begun, entry("drain[0]/stop", "failed"))[1:] == [
        "  drain[0]/stop failed",
        "  drain[1] skipped",
        "  drain[2] skipped",
    ]


def test_signals_and_undo_are_told_elsewhere() -> None:
    """The tree is what the flow did on its way."""
    nodes = [entry("~signal[0]", kind="signal"), entry("~undo", kind="undo"), entry("page~undo/take_back")]
    assert drawn(entry("page"), *nodes) == ["page done"]
