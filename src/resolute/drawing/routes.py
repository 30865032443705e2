"""How each arrow runs: a line of upright and level pieces from the rim of one box to that of another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil

from resolute.drawing.graph import Edge, Graph
from resolute.drawing.layout import BESIDE, Layout, Point, Rect, when_lines
from resolute.drawing.shape import EDGE


@dataclass(frozen=True)
class Label:
    """A text at an arrow, its lines centred in the box; one that stands on the line covers it."""

    lines: tuple[str, ...]
    rect: Rect
    is_on_line: bool = False


@dataclass(frozen=True)
class Route:
    """An arrow with its corners, from source to target."""

    edge: Edge
    points: tuple[Point, ...]
    labels: tuple[Label, ...] = ()


def routes_of(graph: Graph, layout: Layout) -> tuple[Route, ...]:
    """The way of every edge, in the graph's order."""
    return tuple(_route(edge, layout) for edge in graph.edges)


def _route(edge: Edge, layout: Layout) -> Route:
    if edge.kind in ("failure", "undo"):
        return _to_helper(edge, layout.rects[edge.source], layout.rects[edge.target])
    points = list(_way(edge, layout))
    if edge.kind == "again":
        rail = layout.rails[edge.target]
        around = _text((edge.label,), Point(rail.x, (rail.top + rail.bottom) // 2))
        return Route(edge, _corners(points), (replace(around, is_on_line=True),))
    if not edge.label:
        return Route(edge, _corners(points))
    begin = points[0]
    at = Point(begin.x + BESIDE, begin.y - EDGE.step - 3) if edge.sideways else Point(begin.x + BESIDE, begin.y + 4)
    return Route(edge, _corners(points), (_text_at(edge.label, at),))


def _way(edge: Edge, layout: Layout) -> Iterable[Point]:
    """Out of the source, through each join on the way, to the target; some points may lie on one line."""
    source, target = layout.rects[edge.source], layout.rects[edge.target]
    if edge.kind == "enter":
        yield Point(layout.axes[edge.target], layout.heads[edge.source])
        yield Point(layout.axes[edge.target], target.y)
        return
    x, y = layout.axes[edge.source], source.bottom
    if edge.sideways:
        x, y = source.right, source.center.y
        yield Point(x, y)
        x = layout.bypasses[edge.source]
    yield Point(x, y)
    for id in edge.leaves:
        join = layout.joins[id]
        yield Point(x, join.y)
        x = join.x
        yield join
    if edge.kind == "again":
        rail = layout.rails[edge.target]
        yield from (Point(x, rail.bottom), Point(rail.x, rail.bottom), Point(rail.x, rail.top))
        x = layout.axes[edge.target]
        yield Point(x, rail.top)
    yield Point(x, target.bottom if edge.kind == "leave" else target.y)


def _to_helper(edge: Edge, source: Rect, target: Rect) -> Route:
    """Level to a helper beside its vertex, with the text above and below the line; upright to one above."""
    if target.bottom <= source.y:
        points = (Point(source.center.x, source.y), Point(target.center.x, target.bottom))
        middle = (points[0].y + points[1].y) // 2
        return Route(edge, points, (_text_at(edge.label, Point(points[0].x + BESIDE, middle - EDGE.step // 2)),))
    y = source.center.y
    if target.x >= source.right:
        points = (Point(source.right, y), Point(target.x, y))
    else:
        points = (Point(source.x, y), Point(target.right, y))
    lines = when_lines(edge.label)
    above, below = lines[: (len(lines) + 1) // 2], lines[(len(lines) + 1) // 2 :]
    x = (points[0].x + points[1].x) // 2
    labels = [_text(above, Point(x, y - BESIDE - EDGE.step * len(above) // 2 + 3))]
    if below:
        labels.append(_text(below, Point(x, y + BESIDE + EDGE.step * len(below) // 2 - 1)))
    return Route(edge, points, tuple(labels))


def _text_at(text: str, corner: Point) -> Label:
    return Label((text,), Rect(corner.x, corner.y, ceil(EDGE.width(text)), EDGE.step))


def _text(lines: tuple[str, ...], center: Point) -> Label:
    width, height = 2 * ceil(max(EDGE.width(line) for line in lines) / 2), EDGE.step * len(lines)
    return Label(lines, Rect(center.x - width // 2, center.y - height // 2, width, height))


def _corners(points: list[Point]) -> tuple[Point, ...]:
    """The points without those that a straight line passes."""
    found: list[Point] = []
    for point in points:
        if found and point == found[-1]:
            continue
        if len(found) > 1 and (found[-2].x == found[-1].x == point.x or found[-2].y == found[-1].y == point.y):
            found[-1] = point
        else:
            found.append(point)
    return tuple(found)
