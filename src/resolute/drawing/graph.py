"""`Graph`: a flow as vertices, edges and groups, the one reading of it that every picture shares.

A flow is series-parallel, so the vertices stand in a tree of stages, choices and groups; the edges follow from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, assert_never

VertexKind = Literal[
    "start", "end", "node", "page", "fallback", "undo", "decision", "sleep", "gate", "children", "advance"
]
GroupKind = Literal["loop", "each", "parallel", "failure"]
EdgeKind = Literal["normal", "failure", "undo", "again", "enter", "leave"]


@dataclass(frozen=True)
class Vertex:
    """One shape.

    Attributes:
        id: unique in the graph; ASCII letters, digits and "_".
        label: what it is called.
        detail: what else stands in it, line by line.
        text: all of it in one sentence, for a tooltip.
    """

    id: str
    kind: VertexKind
    label: str
    detail: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Stage:
    """A vertex of the main path, or a helper: with a fallback to go on with and a stage that undoes it."""

    vertex: Vertex
    fallback: Stage | None = None
    undo: Stage | None = None
    when: str = ""  #: when the fallback runs


@dataclass(frozen=True)
class Choice:
    """A decision with its two ways, either of which may be empty."""

    vertex: Vertex
    yes: Series
    no: Series


@dataclass(frozen=True)
class Group:
    """A frame round what is repeated, done for each item, done side by side, or done when the run fails."""

    id: str
    kind: GroupKind
    label: str
    caption: str
    lanes: tuple[Series, ...]


Part = Stage | Choice | Group
Series = tuple[Part, ...]


@dataclass(frozen=True)
class Edge:
    """An arrow.

    Attributes:
        source, target: ids of vertices or groups.
        kind: "enter" leads from a group to what it begins with, "leave" from what it ends with to the group.
        leaves: ids of the choices, and of the stages with a fallback, that end on its way, innermost first.
        sideways: it is the way that is taken when the test does not hold.
    """

    source: str
    target: str
    kind: EdgeKind = "normal"
    label: str = ""
    leaves: tuple[str, ...] = ()
    sideways: bool = False


@dataclass(frozen=True)
class Graph:
    """What a picture of a flow shows.

    Attributes:
        caption: what holds for every run, "" for nothing.
        series: the main path, from start to end.
        failure: what runs when the run fails, a group beside the path.
    """

    name: str
    caption: str
    series: Series
    failure: Group | None
    edges: tuple[Edge, ...]

    def parts(self) -> Iterator[Part]:
        """Every stage, choice and group, each before what it holds; helpers are within their stages."""
        yield from _parts(self.series)
        if self.failure is not None:
            yield from _parts((self.failure,))

    def vertices(self) -> Iterator[Vertex]:
        """Every shape, in source order."""
        for part in self.parts():
            match part:
                case Stage():
                    yield from (stage.vertex for stage in with_helpers(part))
                case Choice():
                    yield part.vertex
                case Group():
                    pass
                case _:
                    assert_never(part)

    def groups(self) -> Iterator[Group]:
        """Every frame, each before those in it."""
        return (part for part in self.parts() if isinstance(part, Group))


def with_helpers(stage: Stage) -> Iterator[Stage]:
    """The stage, what undoes it, and its fallback with the same."""
    yield stage
    for helper in (stage.undo, stage.fallback):
        if helper is not None:
            yield from with_helpers(helper)


def _parts(series: Series) -> Iterator[Part]:
    for part in series:
        yield part
        match part:
            case Choice():
                yield from _parts(part.yes)
                yield from _parts(part.no)
            case Group():
                for lane in part.lanes:
                    yield from _parts(lane)
