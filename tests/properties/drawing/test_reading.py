"""A flow read into a graph: each step is there, and every way through it."""

from __future__ import annotations

from hypothesis import given, settings

from resolute.drawing.graph import Edge, Graph
from resolute.drawing.reading import graph_of
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.steps import Block, Branch, Each, Loop, NodeStep, Parallel, walk_nodes, walk_steps
from tests.properties.drawing.samples import EVERYTHING, flows, is_quiet_hour, notify


def step(key: str) -> NodeStep:
    return NodeStep(Node(notify, {}, key))


def read(*steps: NodeStep | Branch | Loop | Each | Parallel) -> Graph:
    return graph_of(Flow("f", (), steps))


def ways(graph: Graph) -> list[str]:
    """Every edge as "source target kind label"."""
    return [" ".join(filter(None, (edge.source, edge.target, edge.kind, edge.label))) for edge in graph.edges]


def test_every_node_and_step_has_its_shape() -> None:
    """Those that undo and those that step in, too."""
    kinds = [vertex.kind for vertex in graph_of(EVERYTHING).vertices()]
    flat = sum(1 for each in walk_steps(EVERYTHING.steps) if not isinstance(each, NodeStep | Loop | Each | Parallel))
    nodes = sum(1 for _ in walk_nodes(EVERYTHING.steps))
    assert len(kinds) == nodes + flat + len(["start", "end", "failure"])
    assert {"fallback", "undo", "decision", "sleep", "gate", "children", "advance"} < set(kinds)


@given(flows)
@settings(max_examples=40, deadline=None)
def test_ids_are_plain_and_unique(flow: Flow) -> None:
    """Whatever the keys are: one key may stand in both ways of a choice."""
    graph = graph_of(flow)
    ids = [*(vertex.id for vertex in graph.vertices()), *(group.id for group in graph.groups())]
    assert len(ids) == len(set(ids))
    assert all(id.isascii() and id.replace("_", "a").isalnum() for id in ids)


@given(flows)
@settings(max_examples=40, deadline=None)
def test_end_can_be_reached_from_every_step(flow: Flow) -> None:
    """No way is lost: what is not undone or done after a failure leads from start to end."""
    graph = graph_of(flow)
    aside = {"undo"}
    follow: dict[str, set[str]] = {}
    for edge in graph.edges:
        if edge.kind not in aside:
            follow.setdefault(edge.source, set()).add(edge.target)
    reached, waiting = set(), ["flow_start"]
    while waiting:
        if (id := waiting.pop()) not in reached:
            reached.add(id)
            waiting.extend(follow.get(id, ()))
    assert "flow_end" in reached
    main = {edge.source for edge in graph.edges if edge.kind == "normal"}
    assert main <= reached


def test_choice_without_otherwise_has_a_way_past_it() -> None:
    """Labelled no, like any other."""
    graph = read(Branch("q", is_quiet_hour, (step("a"),)), step("b"))
    assert ways(graph)[1:4] == ["when_q node_a normal yes", "node_a node_b normal", "when_q node_b normal no"]


def test_fallback_goes_on_where_its_node_does() -> None:
    """Undo does not: it leads nowhere."""
    sms = Node(notify, {}, "sms").or_else(Node(notify, {}, "mail"))
    found = ways(read(NodeStep(Node(notify, {}, "a").or_else(sms).undo(Node(notify, {}, "u"))), step("b")))
    assert {"node_a node_b normal", "fallback_sms node_b normal", "fallback_mail node_b normal"} < set(found)
    assert "node_a undo_u undo undo" in found
    assert not [way for way in found if way.startswith("undo_u")]


def test_loop_leads_back_from_every_end_of_its_body() -> None:
    """To what it begins with, be that a frame itself."""
    inner = Loop("inner", (step("a"),), is_quiet_hour)
    body: Block = (inner, Branch("q", is_quiet_hour, (step("b"),), (step("c"),)))
    again = [edge for edge in read(Loop("outer", body, is_quiet_hour)).edges if edge.kind == "again"]
    assert [(edge.source, edge.target) for edge in again] == [
        ("node_a", "node_a"),
        ("node_b", "loop_inner"),
        ("node_c", "loop_inner"),
    ]


def test_choices_that_end_together_are_left_from_the_inside_out() -> None:
    """An arrow knows every join on its way."""
    inner = Branch("inner", is_quiet_hour, (step("a"),))
    graph = read(Branch("outer", is_quiet_hour, (inner,)), step("b"))
    assert Edge("node_a", "node_b", leaves=("when_inner", "when_outer")) in graph.edges
    assert Edge("when_outer", "node_b", label="no", leaves=("when_outer",), sideways=True) in graph.edges
