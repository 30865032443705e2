"""`edges_of`: the arrows that follow from how the parts of a flow stand in each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from resolute.drawing.graph import Choice, Edge, EdgeKind, Group, Part, Series, Stage, with_helpers


def edges_of(series: Series, failure: Group | None) -> tuple[Edge, ...]:
    """Every arrow of the main path and of the group beside it, in source order."""
    return (*_connected(series), *(_inside(failure) if failure is not None else ()))


@dataclass(frozen=True)
class _Exit:
    """An edge that has no target yet."""

    source: str
    label: str = ""
    leaves: tuple[str, ...] = ()
    sideways: bool = False

    def leaving(self, id: str) -> _Exit:
        return _Exit(self.source, self.label, (*self.leaves, id), self.sideways)

    def to(self, target: str, kind: EdgeKind = "normal", label: str = "") -> Edge:
        return Edge(self.source, target, kind, label or self.label, self.leaves, self.sideways)


def _connected(series: Series) -> Iterator[Edge]:
    """Every edge among these parts and inside them."""
    exits: list[_Exit] = []
    for part in series:
        yield from (each.to(_entry(part)) for each in exits)
        yield from _inside(part)
        exits = list(_exits(part))


def _entry(part: Part) -> str:
    return part.id if isinstance(part, Group) else part.vertex.id


def _exits(part: Part) -> Iterator[_Exit]:
    match part:
        case Stage():
            yield _Exit(part.vertex.id)
            fallback = part.fallback
            while fallback is not None:
                yield _Exit(fallback.vertex.id, leaves=(part.vertex.id,))
                fallback = fallback.fallback
        case Choice():
            decision = part.vertex.id
            for way, label in ((part.yes, "yes"), (part.no, "no")):
                ends = _exits(way[-1]) if way else [_Exit(decision, label, sideways=label == "no")]
                yield from (end.leaving(decision) for end in ends)
        case Group():
            yield _Exit(part.id)
        case _:
            assert_never(part)


def _inside(part: Part) -> Iterator[Edge]:
    match part:
        case Stage():
            for stage in with_helpers(part):
                if stage.undo is not None:
                    yield Edge(stage.vertex.id, stage.undo.vertex.id, "undo", "undo")
                if stage.fallback is not None:
                    yield Edge(stage.vertex.id, stage.fallback.vertex.id, "failure", stage.when)
        case Choice():
            if part.yes:
                yield Edge(part.vertex.id, _entry(part.yes[0]), label="yes")
                yield from _connected(part.yes)
            if part.no:
                yield Edge(part.vertex.id, _entry(part.no[0]), label="no", sideways=True)
                yield from _connected(part.no)
        case Group():
            for lane in part.lanes:
                if lane:
                    yield from _inside_lane(part, lane)
        case _:
            assert_never(part)


def _inside_lane(group: Group, lane: Series) -> Iterator[Edge]:
    yield Edge(group.id, _entry(lane[0]), "enter")
    yield from _connected(lane)
    for end in _exits(lane[-1]):
        if group.kind == "loop":
            yield end.to(_entry(lane[0]), "again", "again")
        if group.kind != "failure":
            yield end.to(group.id, "leave")
