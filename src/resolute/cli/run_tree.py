"""The journal as a tree: what stands inside a step is indented, and rounds or items that are alike are one line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from resolute.engine import NodeView

#: Lists of rounds or items up to this length are shown whole.
SHORT: Final = 6
#: Neighbours that are over and alike become one line from this number on; of others so many are shown.
ALIKE: Final = 3
SHOWN_OF_ALIKE: Final = 5
#: Most rounds or items of one step that have a line of their own.
MOST: Final = 30
#: What a whole has come to by what is inside it; the first that occurs says it.
_ORDER: Final = ("running", "waiting", "failed", "cancelled", "done", "skipped")
_OVER: Final = frozenset({"done", "skipped"})
_INDEXED: Final = re.compile(r"([^\[]+)\[(\d+)\](.*)")
#: Entries that only say when something began; what they came to is what is inside.
_BEGINNINGS: Final = frozenset({"loop", "round", "item", "pages"})
#: Entries whose output is the list that they work through.
_LISTS: Final = frozenset({"each", "children"})


@dataclass(frozen=True)
class Line:
    """One line of the tree.

    Attributes:
        name: the end of the position, or a range of them: "drains[0..97]".
        depth: how many others it stands in.
        status: of its entry, or of all that is inside.
        node: its entry, None where it only holds others.
        about: what it comes to where that is not what its entry says, "" else.
    """

    name: str
    depth: int
    status: str
    node: NodeView | None = None
    about: str = ""


@dataclass
class _Place:
    """A position with what stands inside it, by name and in order."""

    name: str
    index: int | None = None
    node: NodeView | None = None
    inner: dict[str, _Place] = field(default_factory=dict)

    def within(self, name: str, index: int | None = None) -> _Place:
        return self.inner.setdefault(name, _Place(name, index))

    @property
    def status(self) -> str:
        """What it has come to with all that is inside."""
        found = {place.status for place in self.inner.values()}
        if self.node is not None and (not found or self.node.kind not in _BEGINNINGS):
            is_skipped = self.node.kind == "item" and self.node.output is False
            found.add("skipped" if is_skipped else self.node.status)
        return next((status for status in _ORDER if status in found), "done")


def tree(nodes: Iterable[NodeView], *, whole: bool = False) -> list[Line]:
    """The lines of a run's journal; signals and what was undone are not in it.

    Args:
        whole: show every round and item, and every entry.
    """
    root = _Place("")
    for node in nodes:
        if node.kind != "signal" and not is_undo(node) and (whole or node.kind != "result"):
            _put(root, node)
    return list(_lines(root, -1, whole))


def is_undo(node: NodeView) -> bool:
    """Whether the entry belongs to undoing the run."""
    return node.kind == "undo" or "~undo/" in node.position


def _put(root: _Place, node: NodeView) -> None:
    place = root
    for part in node.position.split("/"):
        indexed = None if part.startswith("~") else _INDEXED.fullmatch(part)
        if indexed is None:
            place = place.within(part)
            continue
        name, number, rest = indexed.groups()
        place = place.within(name).within(f"{name}[{number}]", int(number))
        if rest:
            place = place.within(part)
    place.node = node


def _lines(place: _Place, depth: int, whole: bool) -> Iterator[Line]:
    """The lines of what is inside a place."""
    places = [inner for inner in place.inner.values() if whole or not _is_beside(inner)]
    items = sorted((inner for inner in places if inner.index is not None), key=lambda inner: inner.index or 0)
    for inner in places:
        if inner.index is None:
            yield from _of(inner, depth + 1, whole)
    if whole or len(items) <= SHORT:
        for item in items:
            yield from _of(item, depth + 1, whole)
    else:
        yield from _items(items, depth + 1)


def _is_beside(place: _Place) -> bool:
    """Whether it is a decision or pause between the rounds of a loop that lies behind."""
    return "]~" in place.name and place.status == "done" and not place.inner


def _of(place: _Place, depth: int, whole: bool) -> Iterator[Line]:
    """The line of a place and those of what is inside; a round or item with one thing inside is a line with that."""
    name = place.name
    while not whole and (place.node is None or place.node.kind in ("round", "item")):
        seen = [inner for inner in place.inner.values() if not _is_beside(inner)]
        if len(seen) != 1 or seen[0].index is not None:
            break
        place = seen[0]
        name = f"{name}/{place.name}"
    yield Line(name, depth, place.status, place.node, _progress(place))
    yield from _lines(place, depth, whole)


def _progress(place: _Place) -> str:
    """How far a step has come that works through a list."""
    node = place.node
    if node is None or node.kind not in _LISTS or not isinstance(node.output, list):
        return ""
    done, total = sum(inner.status == "done" for inner in place.inner.values()), len(node.output)
    what = "item" if node.kind == "each" else "run"
    return f"{total} {what}{'' if total == 1 else 's'}" if done == total else f"{done} of {total} done"


def _items(items: Sequence[_Place], depth: int) -> Iterator[Line]:
    """Rounds or items, those that are alike in one line; the latest round of a loop tells where it is."""
    is_loop = any(item.node is not None and item.node.kind == "round" for item in items[-1:])
    latest, items = (items[-1:], items[:-1]) if is_loop else ([], items)
    yield from _grouped(items, depth)
    for item in latest:
        yield from _of(item, depth, whole=False)


def _grouped(items: Sequence[_Place], depth: int) -> Iterator[Line]:
    left = MOST
    for status, group in groupby(items, key=lambda item: item.status):
        alike = list(group)
        own = (0 if len(alike) >= ALIKE else len(alike)) if status in _OVER else min(len(alike), SHOWN_OF_ALIKE)
        if own > left or not left:
            break
        left -= own
        for item in alike[:own]:
            yield from _of(item, depth, whole=False)
        if alike[own:]:
            yield _range(alike[own:], depth)
        items = items[len(alike) :]
    else:
        return
    yield _range(items, depth)


def _range(items: Sequence[_Place], depth: int) -> Line:
    first, last = items[0], items[-1]
    name = first.name if first is last else f"{first.name.partition('[')[0]}[{first.index}..{last.index}]"
    counts = Counter(item.status for item in items)
    status = next(status for status in _ORDER if status in counts)
    about = ", ".join(f"{counts[each]} {each}" for each in _ORDER if each in counts) if len(counts) > 1 else ""
    return Line(name, depth, status, about=about)
