"""A flow in words: every step in order, numbered, with what belongs to it below it."""

from __future__ import annotations

from hypothesis import given, settings

from resolute.drawing.words import words
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import Branch, NodeStep, Parallel, walk_nodes, walk_steps
from resolute.model.trigger import manual
from tests.properties.drawing.samples import flows, is_quiet_hour, minutes, notify


def step(key: str) -> NodeStep:
    return NodeStep(Node(notify, {}, key))


def said(*steps: Branch | NodeStep | Parallel) -> list[str]:
    """The lines after the first, which names the flow."""
    return words(Flow("f", (manual(),), steps)).splitlines()[1:]


def test_both_ways_of_a_choice_are_read_under_its_number() -> None:
    """The numbers go on, so that each is there once."""
    assert said(Branch("a~when", is_quiet_hour, (step("a"), step("b")), (step("c"),)), step("d")) == [
        "1. If is_quiet_hour(state):",
        "   1.1. a: run notify.",
        "   1.2. b: run notify.",
        "1. Otherwise:",
        "   1.3. c: run notify.",
        "2. d: run notify.",
    ]


def test_helpers_are_read_below_their_node() -> None:
    """When they run comes first."""
    node = Node(notify, {}, "page").undo(Node(notify, {}, "u")).or_else(Node(notify, {}, "sms"), after=minutes(5))
    assert said(NodeStep(node)) == [
        "1. page: run notify.",
        "   To undo it: u: run notify.",
        "   If it fails or is not accepted within 5 min: sms: run notify.",
    ]


def test_branches_side_by_side_have_letters() -> None:
    """One that does nothing says so."""
    assert said(Parallel("tell", ((step("a"), step("b")), ()))) == [
        "1. tell: side by side, until all have ended:",
        "   1.a1. a: run notify.",
        "   1.a2. b: run notify.",
        "   1.b. Nothing.",
    ]


@given(flows)
@settings(max_examples=40, deadline=None)
def test_no_step_is_left_out(flow: Flow) -> None:
    """As many numbers as steps, as many runs as nodes."""
    plain = Flow("f", (), flow.steps)
    text = " ".join(words(plain).split())
    assert text.count("notify") >= sum(1 for _ in walk_nodes(plain.steps))
    assert text.count(". ") >= sum(1 for _ in walk_steps(plain.steps))
