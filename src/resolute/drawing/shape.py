"""How large each vertex and each frame's caption is, and which lines of text stand in it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from resolute.drawing.graph import Group, Vertex
from resolute.drawing.lettering import Font

LABEL: Final = Font(13, 18, bold=True)
DETAIL: Final = Font(11, 15)
CODE: Final = Font(11, 15, code=True)
EDGE: Final = Font(11, 14)
TITLE: Final = Font(17, 24, bold=True)

#: Widths in pixels.
CARD: Final = 248
UNDO_CARD: Final = 184
HEXAGON_POINT: Final = 14
ICON: Final = 28
PADDING: Final = 12
TEST: Final = 186

Face = Literal["label", "detail", "code"]
FONTS: Final[dict[Face, Font]] = {"label": LABEL, "detail": DETAIL, "code": CODE}


@dataclass(frozen=True)
class Line:
    """One line of text in a shape."""

    text: str
    face: Face


@dataclass(frozen=True)
class Shape:
    """The size of a vertex in pixels, both even, and its text."""

    width: int
    height: int
    lines: tuple[Line, ...]


def text_height(lines: tuple[Line, ...]) -> int:
    """How high these lines are together."""
    return sum(FONTS[line.face].step for line in lines)


def shape_of(vertex: Vertex) -> Shape:
    """The shape of a vertex: cards of one width, pills and rhombs around their text."""
    match vertex.kind:
        case "start" | "end":
            lines = _lines("label", vertex.label, CARD, 2) + _details(vertex, CARD, 1)
            return _pill(lines, 2 * 20)
        case "sleep":
            return _pill(_text(vertex, CARD - ICON - 3 * PADDING), ICON + 3 * PADDING + 4)
        case "decision":
            return _rhomb(_lines("label", vertex.detail[0] if vertex.detail else "", TEST, 1), vertex.label)
        case "gate":
            return _card(vertex, CARD + 2 * HEXAGON_POINT, CARD - ICON - 3 * PADDING)
        case "undo":
            return _card(vertex, UNDO_CARD, UNDO_CARD - ICON - 3 * PADDING)
        case _:
            return _card(vertex, CARD, CARD - ICON - 3 * PADDING)


def caption_of(group: Group, width: int) -> tuple[Line, ...]:
    """The lines at the head of a frame of this inner width."""
    if not group.label:
        return _lines("label", group.caption, width, 2)
    return _lines("label", group.label, width, 2) + _lines("detail", group.caption, width, 4)


def _lines(face: Face, text: str, width: float, most: int) -> tuple[Line, ...]:
    return tuple(Line(line, face) for line in FONTS[face].wrapped(text, width, most))


def _details(vertex: Vertex, width: float, most: int) -> tuple[Line, ...]:
    return tuple(line for text in vertex.detail for line in _lines("detail", text, width, most))


def _text(vertex: Vertex, width: float) -> tuple[Line, ...]:
    return _lines("label", vertex.label, width, 2) + _details(vertex, width, 3)


def _card(vertex: Vertex, width: int, inner: int) -> Shape:
    lines = _text(vertex, inner)
    return Shape(width, _even(max(ICON, text_height(lines)) + 2 * PADDING), lines)


def _pill(lines: tuple[Line, ...], margin: int) -> Shape:
    return Shape(_even(max(88, _widest(lines) + margin)), _even(text_height(lines) + 18), lines)


def _rhomb(head: tuple[Line, ...], test: str) -> Shape:
    """Wide enough that the corners of its text lie within the sides."""
    lines = head + _lines("code", test, TEST, 4)
    height = max(68, 2 * text_height(lines) + 20)
    width = (_widest(lines) + 12) / (1 - text_height(lines) / height)
    return Shape(_even(max(140, width)), _even(height), lines)


def _widest(lines: tuple[Line, ...]) -> float:
    return max((FONTS[line.face].width(line.text) for line in lines), default=0)


def _even(size: float) -> int:
    return 2 * ceil(size / 2)
