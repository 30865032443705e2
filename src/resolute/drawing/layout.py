"""Where everything stands: a flow laid out as boxes in boxes, all coordinates whole pixels.

Each part is laid out round an axis, on which it is entered at the top and left at the bottom; a series puts its parts
one below the other on one axis. What does not hold, fails or is undone stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final, NamedTuple, assert_never

from resolute.drawing.graph import Choice, Graph, Group, Part, Series, Stage, Vertex
from resolute.drawing.shape import EDGE, ICON, PADDING, TITLE, Line, Shape, caption_of, shape_of, text_height

#: Distances in pixels.
GAP: Final = 36  # between what follows each other
LANE_GAP: Final = 32  # between what stands side by side
JOIN: Final = 18  # from a way's end to where it joins
FRAME: Final = 20  # from a frame to what it holds
RAIL: Final = 30  # from a loop's body to its way back, and on to the frame
STACK: Final = 8  # what the frame of an each shows of those behind it
MARGIN: Final = 28
HEADLINE: Final = 42
CAPTION: Final = 18  # what holds for every run, below the name
NARROWEST_FRAME: Final = 264
UNDO_GAP: Final = 64  # from a vertex to what undoes it
BESIDE: Final = 7  # from an arrow to its text
ARROW: Final = 36  # what the arrow to a fallback needs beside its text
#: Width of the text at the arrow to a fallback.
WHEN: Final = 148


class Point(NamedTuple):
    """A place, from the top left."""

    x: int
    y: int


@dataclass(frozen=True)
class Rect:
    """A box."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def center(self) -> Point:
        return Point(self.x + self.width // 2, self.y + self.height // 2)


class Rail(NamedTuple):
    """The way back of a loop: out at the bottom, up beside the body, in at the top."""

    x: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Layout:
    """Places by the id of the vertex or group.

    Attributes:
        rects: box of each vertex and group.
        shapes, captions: the text of each vertex and group.
        axes: x at which each is entered and left.
        heads: y at which the caption of each group ends.
        joins: where the ways of a choice, or of a stage with a fallback, come together.
        bypasses: x of the way that a choice takes when its test does not hold.
        rails: the way back to the part with this id.
    """

    width: int
    height: int
    rects: Mapping[str, Rect]
    shapes: Mapping[str, Shape]
    captions: Mapping[str, tuple[Line, ...]]
    axes: Mapping[str, int]
    heads: Mapping[str, int]
    joins: Mapping[str, Point]
    bypasses: Mapping[str, int]
    rails: Mapping[str, Rail]


@dataclass(frozen=True)
class _Box:
    """A part that has its size but no place yet.

    Attributes:
        left, right: how far it reaches from its axis.
        center: y of the middle of its first vertex.
        place: notes everything in it, given x of its axis and y of its top.
    """

    left: int
    right: int
    height: int
    center: int
    place: Callable[[int, int], None]


def lay_out(graph: Graph) -> Layout:
    """The layout of a graph; the same graph always has the same."""
    planner = _Planner()
    body = planner.series(graph.series)
    rows = [body]
    if graph.failure is not None:
        rows.append(planner.group(graph.failure))
    left, right, height, place = _stacked(rows)
    width = max(left + right, ceil(TITLE.width(graph.name)))
    top = MARGIN + HEADLINE + (CAPTION if graph.caption else 0)
    place(MARGIN + left + (width - left - right) // 2, top)
    return Layout(width + 2 * MARGIN, top + height + MARGIN, **planner.places())


def when_lines(when: str) -> tuple[str, ...]:
    """The text at the arrow to a fallback, line by line."""
    return EDGE.wrapped(when, WHEN, 4)


def _stacked(boxes: Sequence[_Box]) -> tuple[int, int, int, Callable[[int, int], None]]:
    """Left, right and height of boxes one below the other, and how they are placed."""
    tops = [0]
    for box in boxes:
        tops.append(tops[-1] + box.height + GAP)

    def place(x: int, y: int) -> None:
        for box, top in zip(boxes, tops, strict=False):
            box.place(x, y + top)

    left = max((box.left for box in boxes), default=0)
    right = max((box.right for box in boxes), default=0)
    return left, right, max(tops[-1] - GAP, 0), place


@dataclass
class _Planner:
    """Measures parts from the inside out; placing them fills in where everything stands."""

    rects: dict[str, Rect] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    captions: dict[str, tuple[Line, ...]] = field(default_factory=dict)
    axes: dict[str, int] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    joins: dict[str, Point] = field(default_factory=dict)
    bypasses: dict[str, int] = field(default_factory=dict)
    rails: dict[str, Rail] = field(default_factory=dict)

    def series(self, series: Series) -> _Box:
        boxes = [self.part(part) for part in series]
        left, right, height, place = _stacked(boxes)
        return _Box(left, right, height, boxes[0].center if boxes else 0, place)

    def part(self, part: Part) -> _Box:
        match part:
            case Stage():
                return self.stage(part)
            case Choice():
                return self.choice(part)
            case Group():
                return self.group(part)
            case _:
                assert_never(part)

    def vertex(self, vertex: Vertex) -> _Box:
        shape = self.shapes[vertex.id] = shape_of(vertex)

        def place(x: int, y: int) -> None:
            self.rects[vertex.id] = Rect(x - shape.width // 2, y, shape.width, shape.height)
            self.axes[vertex.id] = x

        return _Box(shape.width // 2, shape.width // 2, shape.height, shape.height // 2, place)

    def stage(self, stage: Stage) -> _Box:
        """The vertex on the axis, its fallback to the right, what undoes it to the left, their middles on one line."""
        row = [(self.vertex(stage.vertex), 0)]
        main = row[0][0]
        if stage.fallback is not None:
            fallback = self.helper(stage.fallback, 1)
            row.append((fallback, main.right + _when_gap(stage.when) + fallback.left))
        if stage.undo is not None:
            undo = self.helper(stage.undo, -1)
            row.append((undo, -(main.left + UNDO_GAP + undo.right)))
        box = _row(row)
        if stage.fallback is None:
            return box

        def place(x: int, y: int) -> None:
            box.place(x, y)
            self.joins[stage.vertex.id] = Point(x, y + box.height + JOIN)

        return _Box(box.left, box.right, box.height + JOIN, box.center, place)

    def helper(self, stage: Stage, side: int) -> _Box:
        """A helper with its fallback on this side of it (1 right, -1 left), and what undoes it above."""
        own = self.vertex(stage.vertex)
        if stage.undo is not None:
            own = _above(self.helper(stage.undo, side), own)
        if stage.fallback is None:
            return own
        fallback = self.helper(stage.fallback, side)
        gap = _when_gap(stage.when)
        distance = own.right + gap + fallback.left if side > 0 else -(own.left + gap + fallback.right)
        return _row([(own, 0), (fallback, distance)])

    def choice(self, choice: Choice) -> _Box:
        """The rhomb, below it what is done when the test holds, to the right what is done otherwise."""
        rhomb, yes, no = self.vertex(choice.vertex), self.series(choice.yes), self.series(choice.no)
        begin = rhomb.height + GAP
        bypass = max(rhomb.right, yes.right) + LANE_GAP + no.left
        ends = [begin + way.height for way in (yes, no) if way.height]
        join = max([rhomb.height + 2 * BESIDE, *ends]) + JOIN  # "yes" needs its place below the rhomb

        def place(x: int, y: int) -> None:
            rhomb.place(x, y)
            yes.place(x, y + begin)
            no.place(x + bypass, y + begin)
            self.bypasses[choice.vertex.id] = x + bypass
            self.joins[choice.vertex.id] = Point(x, y + join)

        return _Box(max(rhomb.left, yes.left), bypass + no.right, join, rhomb.center, place)

    def group(self, group: Group) -> _Box:
        """The frame with its caption above its lanes; a loop's way back runs left of its body."""
        lanes = [self.series(lane) for lane in group.lanes]
        is_loop = group.kind == "loop" and any(lane.height for lane in lanes)
        if len(lanes) == 1:
            offsets, left, right = [0], lanes[0].left, lanes[0].right
        else:
            offsets, left, right = _side_by_side(lanes)
        left = max(left + (2 * RAIL if is_loop else FRAME), NARROWEST_FRAME // 2)
        right = max(right + FRAME, NARROWEST_FRAME // 2)
        behind = STACK if group.kind == "each" else 0
        lines = self.captions[group.id] = caption_of(group, left + right - 3 * PADDING - ICON // 2)
        head = text_height(lines) + 2 * PADDING - 6
        begin = head + GAP
        body = max((lane.height for lane in lanes), default=0)
        end = begin + body if body else head + FRAME
        frame = end + (2 * FRAME if is_loop else FRAME) + behind

        def place(x: int, y: int) -> None:
            self.rects[group.id] = Rect(x - left, y, left + right, frame)
            self.axes[group.id] = x
            self.heads[group.id] = y + head
            for lane, offset in zip(lanes, offsets, strict=True):
                lane.place(x + offset, y + begin)
            if is_loop:
                entry = group.lanes[0][0]
                id = entry.id if isinstance(entry, Group) else entry.vertex.id
                back = x - lanes[0].left - RAIL
                self.rails[id] = Rail(back, y + head + GAP // 2, y + end + FRAME)

        return _Box(left, right, frame, 0, place)

    def places(self) -> dict[str, Any]:
        """Everything that was placed, by the names of `Layout`."""
        return dict(vars(self))


def _side_by_side(lanes: Sequence[_Box]) -> tuple[list[int], int, int]:
    """Where the axes of lanes stand round a common one, and how far they reach to both sides."""
    width = sum(lane.left + lane.right for lane in lanes) + LANE_GAP * max(len(lanes) - 1, 0)
    left = width // 2
    offsets, x = [], -left
    for lane in lanes:
        offsets.append(x + lane.left)
        x += lane.left + lane.right + LANE_GAP
    return offsets, left, width - left


def _row(boxes: Sequence[tuple[_Box, int]]) -> _Box:
    """Boxes at these distances from the first one's axis, their middles on one line."""
    center = max(box.center for box, _ in boxes)
    below = max(box.height - box.center for box, _ in boxes)

    def place(x: int, y: int) -> None:
        for box, distance in boxes:
            box.place(x + distance, y + center - box.center)

    left = max(box.left - distance for box, distance in boxes)
    right = max(box.right + distance for box, distance in boxes)
    return _Box(left, right, center + below, center, place)


def _above(upper: _Box, lower: _Box) -> _Box:
    """One box above another, on one axis; the middle is that of the lower."""
    left, right, height, place = _stacked([upper, lower])
    return _Box(left, right, height, upper.height + GAP + lower.center, place)


def _when_gap(when: str) -> int:
    """The distance to a fallback: its arrow has to hold a text."""
    return _even(max(EDGE.width(line) for line in when_lines(when)) + ARROW)


def _even(size: float) -> int:
    return 2 * ceil(size / 2)
