"""Layout and arrows of random flows: nothing lies on anything else, and every arrow meets what it joins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings

from resolute.drawing.graph import Choice, Graph, Group, Series, Stage, with_helpers
from resolute.drawing.layout import Layout, Point, Rect, lay_out
from resolute.drawing.reading import graph_of
from resolute.drawing.routes import Route, routes_of
from resolute.model.recipe import Flow
from tests.properties.drawing.samples import EVERYTHING, flows


def overlap(one: Rect, other: Rect) -> bool:
    """Whether they share more than their rims."""
    return one.x < other.right and other.x < one.right and one.y < other.bottom and other.y < one.bottom


def holds(outer: Rect, inner: Rect) -> bool:
    return outer.x <= inner.x and outer.y <= inner.y and inner.right <= outer.right and inner.bottom <= outer.bottom


def held(series: Series) -> Iterator[str]:
    """Ids of the vertices and groups in a series, at any depth."""
    for part in series:
        match part:
            case Stage():
                yield from (stage.vertex.id for stage in with_helpers(part))
            case Choice():
                yield from (part.vertex.id, *held(part.yes), *held(part.no))
            case Group():
                yield part.id
                for lane in part.lanes:
                    yield from held(lane)


def drawn(flow: Flow) -> tuple[Graph, Layout, tuple[Route, ...]]:
    graph = graph_of(flow)
    layout = lay_out(graph)
    return graph, layout, routes_of(graph, layout)


def covers(route: Route, rect: Rect) -> bool:
    """Whether the arrow runs through the inside of a box."""
    return any(
        overlap(Rect(min(a.x, b.x), min(a.y, b.y), abs(a.x - b.x) or 1, abs(a.y - b.y) or 1), inside)
        for a, b in pairwise(route.points)
        if (inside := Rect(rect.x + 1, rect.y + 1, rect.width - 2, rect.height - 2))
    )


def on_rim(point: Point, rect: Rect) -> bool:
    level = rect.x <= point.x <= rect.right and point.y in (rect.y, rect.bottom)
    return level or (rect.y <= point.y <= rect.bottom and point.x in (rect.x, rect.right))


@given(flows)
@settings(max_examples=40, deadline=None)
def test_shapes_keep_clear_of_each_other(flow: Flow) -> None:
    """No two shapes overlap, and each lies inside the picture."""
    graph, layout, _ = drawn(flow)
    shapes = [layout.rects[vertex.id] for vertex in graph.vertices()]
    assert len(shapes) == len({vertex.id for vertex in graph.vertices()})
    assert not [pair for pair in combinations(shapes, 2) if overlap(*pair)]
    assert all(holds(Rect(0, 0, layout.width, layout.height), rect) for rect in layout.rects.values())


@given(flows)
@settings(max_examples=40, deadline=None)
def test_frame_holds_what_is_its_own_and_nothing_else(flow: Flow) -> None:
    """What a loop, each or parallel does stands in its frame below the caption, all else and its arrows outside."""
    graph, layout, routes = drawn(flow)
    for group in graph.groups():
        rect, own = layout.rects[group.id], {id for lane in group.lanes for id in held(lane)}
        head = layout.heads[group.id]
        for id in own:
            assert holds(Rect(rect.x, head, rect.width, rect.bottom - head), layout.rects[id])
        for vertex in graph.vertices():
            assert vertex.id in own or not overlap(rect, layout.rects[vertex.id])
        strangers = [route for route in routes if not {route.edge.source, route.edge.target} & {group.id, *own}]
        assert not [route for route in strangers if covers(route, rect)]


@given(flows)
@settings(max_examples=40, deadline=None)
def test_arrows_meet_what_they_join_and_cross_no_shape(flow: Flow) -> None:
    """Both ends touch; the pieces are upright or level; neither line nor text lies on a shape."""
    graph, layout, routes = drawn(flow)
    shapes = {vertex.id: layout.rects[vertex.id] for vertex in graph.vertices()}
    for route in routes:
        source, target = layout.rects[route.edge.source], layout.rects[route.edge.target]
        assert on_rim(route.points[0], source) or route.points[0].y == layout.heads.get(route.edge.source)
        assert on_rim(route.points[-1], target)
        assert all((a.x == b.x) != (a.y == b.y) for a, b in pairwise(route.points))
        assert not [id for id, rect in shapes.items() if covers(route, rect)]
        assert not [label for label in route.labels for rect in shapes.values() if overlap(label.rect, rect)]


@pytest.mark.parametrize("kind", ["normal", "failure", "undo", "again", "enter", "leave"])
def test_flow_with_every_step_has_every_arrow(kind: str) -> None:
    """The random flows above are not all there is: this one is known to have each kind."""
    assert [route for route in drawn(EVERYTHING)[2] if route.edge.kind == kind]
