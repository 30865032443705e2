"""A flow as an SVG picture that needs nothing else: no script, no font, no network, light and dark.

The words of the flow are in it for screen readers, and the whole text of what had to be cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from resolute.drawing.graph import Graph, Group, GroupKind, Vertex, VertexKind
from resolute.drawing.layout import MARGIN, STACK, Layout, Point, Rect, lay_out
from resolute.drawing.reading import graph_of
from resolute.drawing.routes import Label, Route, routes_of
from resolute.drawing.shape import EDGE, FONTS, HEXAGON_POINT, ICON, PADDING, TITLE, Line, text_height
from resolute.drawing.style import ICONS, style_sheet
from resolute.drawing.words import words
from resolute.model.recipe import Flow

_TURN: Final = 8  #: radius of an arrow's turns
_HEAD: Final = 8  #: length of an arrowhead
_CENTERED: Final = ("start", "end", "decision")
#: What XML 1.0 cannot hold, and half surrogate pairs, which no file can.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(flow: Flow) -> str:
    """The picture of a flow as the text of an SVG file; the same flow always gives the same text."""
    graph = graph_of(flow)
    layout = lay_out(graph)
    return "\n".join(_picture(graph, layout, words(flow))) + "\n"


def _picture(graph: Graph, layout: Layout, text: str) -> Iterator[str]:
    scope = "flow-" + ("-".join(re.findall(r"[a-z0-9]+", graph.name.lower())) or "drawing")
    size = f'width="{layout.width}" height="{layout.height}" viewBox="0 0 {layout.width} {layout.height}"'
    named = f'role="img" aria-labelledby="{scope}-title" aria-describedby="{scope}-desc"'
    kinds: set[VertexKind | GroupKind] = {group.kind for group in graph.groups()}
    kinds |= {vertex.kind for vertex in graph.vertices()}
    yield f'<svg xmlns="http://www.w3.org/2000/svg" id="{scope}" {size} {named}>'
    yield f'<title id="{scope}-title">{_text(f"Flow {graph.name}")}</title>'
    yield f'<desc id="{scope}-desc">{_text(text)}</desc>'
    yield f"<style>\n{style_sheet(scope, kinds, {edge.kind for edge in graph.edges})}\n</style>"
    yield f'<rect class="canvas" width="{layout.width}" height="{layout.height}" rx="12"/>'
    yield from _headline(graph, layout)
    for group in graph.groups():
        yield from _group(group, layout)
    routes = routes_of(graph, layout)
    yield from dict.fromkeys(_arrow(route) for route in routes)
    for vertex in graph.vertices():
        yield from _vertex(vertex, layout)
    for label in dict.fromkeys(label for route in routes for label in route.labels):
        yield from _label(label)
    yield "</svg>"


def _headline(graph: Graph, layout: Layout) -> Iterator[str]:
    name = TITLE.cut(graph.name, layout.width - 2 * MARGIN)
    yield _line(name, "title", MARGIN, MARGIN + 16)
    if graph.caption:
        yield _line(graph.caption, "detail", MARGIN, MARGIN + 36)


def _group(group: Group, layout: Layout) -> Iterator[str]:
    rect, head = layout.rects[group.id], layout.heads[group.id]
    yield f'<g class="{group.kind}"><title>{_text(": ".join(filter(None, (group.label, group.caption))))}</title>'
    if group.kind == "each":
        for behind in (STACK, STACK // 2):
            x, y, width = rect.x + 2 * behind, rect.bottom - STACK + behind, rect.width - 4 * behind
            yield f'<path class="frame" d="M{x} {y - behind}v{behind - 4}q0 4 4 4h{width - 8}q4 0 4-4v{4 - behind}"/>'
        rect = Rect(rect.x, rect.y, rect.width, rect.height - STACK)
    yield f'<rect class="frame" {_box(rect)} rx="10"/>'
    yield f'<path class="rule" d="M{rect.x} {head}h{rect.width}"/>'
    yield _icon(group.kind, rect.x + PADDING, rect.y + PADDING - 2)
    yield from _lines(layout.captions[group.id], rect.x + 2 * PADDING + ICON // 2, rect.y + PADDING - 3)
    yield "</g>"


def _vertex(vertex: Vertex, layout: Layout) -> Iterator[str]:
    rect, shape = layout.rects[vertex.id], layout.shapes[vertex.id]
    yield f'<g class="{vertex.kind}"><title>{_text(vertex.text)}</title>'
    yield _outline(vertex.kind, rect)
    top = rect.y + (rect.height - text_height(shape.lines)) // 2
    if vertex.kind in _CENTERED:
        yield from _lines(shape.lines, rect.center.x, top, centered=True)
    else:
        inset = {"gate": HEXAGON_POINT, "sleep": 4}.get(vertex.kind, 0)
        tile = Point(rect.x + PADDING + inset, rect.y + (rect.height - ICON) // 2)
        radius = ICON // 2 if vertex.kind == "sleep" else 7
        yield f'<rect class="tile" {_box(Rect(*tile, ICON, ICON))} rx="{radius}"/>'
        yield _icon(vertex.kind, tile.x + (ICON - 16) // 2, tile.y + (ICON - 16) // 2)
        yield from _lines(shape.lines, tile.x + ICON + PADDING, top)
    yield "</g>"


def _outline(kind: VertexKind, rect: Rect) -> str:
    x, y, height, middle = rect.x, rect.y, rect.height, rect.center
    match kind:
        case "decision":
            path = f"M{middle.x} {y}L{rect.right} {middle.y}L{middle.x} {rect.bottom}L{x} {middle.y}z"
        case "gate":
            point = HEXAGON_POINT
            path = f"M{x} {middle.y}L{x + point} {y}H{rect.right - point}L{rect.right} {middle.y}"
            path += f"L{rect.right - point} {rect.bottom}H{x + point}z"
        case "children":
            path = f"M{x + 5} {y}v{height}M{rect.right - 5} {y}v{height}"
            return f'<rect class="card" {_box(rect)} rx="3"/><path class="card" d="{path}"/>'
        case _:
            radius = height // 2 if kind in ("start", "end", "sleep") else 9
            return f'<rect class="card" {_box(rect)} rx="{radius}"/>'
    return f'<path class="card" stroke-linejoin="round" d="{path}"/>'


def _icon(kind: VertexKind | GroupKind, x: int, y: int) -> str:
    return f'<path class="icon" transform="translate({x} {y})" d="{ICONS[kind]}"/>'


def _arrow(route: Route) -> str:
    """The line with rounded turns, and its head; a line to the end of a frame goes on below it and has none."""
    points = list(route.points)
    if route.edge.kind == "again":  # up to the way back it shares the line of what follows
        points[:-4] = [Point(points[-5].x, points[-5].y - _TURN), points[-5]]
    head = ""
    if route.edge.kind != "leave":
        tip, before = points[-1], points[-2]
        points[-1] = _towards(tip, before, _HEAD - 2)
        head = f'<path class="head" d="{_arrowhead(tip, before)}"/>'
    return f'<g class="to-{route.edge.kind}"><path class="line" d="{_rounded(points)}"/>{head}</g>'


def _rounded(points: Sequence[Point]) -> str:
    path = [f"M{points[0].x} {points[0].y}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        turn = min(_TURN, _distance(before, corner) // 2, _distance(corner, after) // 2)
        begin, end = _towards(corner, before, turn), _towards(corner, after, turn)
        path.append(f"L{begin.x} {begin.y}Q{corner.x} {corner.y} {end.x} {end.y}")
    return "".join(path) + f"L{points[-1].x} {points[-1].y}"


def _arrowhead(tip: Point, before: Point) -> str:
    base = _towards(tip, before, _HEAD)
    if tip.x == before.x:
        return f"M{tip.x} {tip.y}L{base.x - 4} {base.y}H{base.x + 4}z"
    return f"M{tip.x} {tip.y}L{base.x} {base.y - 4}V{base.y + 4}z"


def _towards(begin: Point, end: Point, distance: int) -> Point:
    """The point so far from one on the upright or level line to another."""

    def step(here: int, there: int) -> int:
        return here + distance * ((there > here) - (there < here))

    return Point(step(begin.x, end.x), step(begin.y, end.y))


def _distance(one: Point, other: Point) -> int:
    return abs(one.x - other.x) + abs(one.y - other.y)


def _label(label: Label) -> Iterator[str]:
    rect = label.rect
    if label.is_on_line:
        around = Rect(rect.x - 7, rect.y - 2, rect.width + 14, rect.height + 4)
        yield f'<rect class="card" {_box(around)} rx="{around.height // 2}"/>'
    for place, text in enumerate(label.lines):
        y = rect.y + place * EDGE.step + EDGE.step // 2 + 4
        yield _line(text, "note", rect.center.x, y, centered=True)


def _lines(lines: Sequence[Line], x: int, top: int, *, centered: bool = False) -> Iterator[str]:
    for line in lines:
        font = FONTS[line.face]
        yield _line(line.text, line.face, x, top + font.step // 2 + round(font.size * 0.36), centered=centered)
        top += font.step


def _line(text: str, face: str, x: int, y: int, *, centered: bool = False) -> str:
    anchor = ' text-anchor="middle"' if centered else ""
    return f'<text class="{face}" x="{x}" y="{y}"{anchor}>{_text(text)}</text>'


def _box(rect: Rect) -> str:
    return f'x="{rect.x}" y="{rect.y}" width="{rect.width}" height="{rect.height}"'


def _text(text: str) -> str:
    """The text as XML; what XML cannot hold is written as Python would."""
    kept = _FORBIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
