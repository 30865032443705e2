"""Flows as plain data: what a random flow is made of, and the real flow that is built of it.

An activity's behaviour is part of the data, so that a model can tell what has to come of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from resolute import Activity, Flow, Node, Retry, flow, item, manual, output, secret, steps
from resolute.model.flow import FlowBuilder, Fragment
from resolute.providers import pagerduty


@dataclass(frozen=True)
class Do:
    """A node.

    Attributes:
        does: "ok", "fail" (until the world is mended), "hang" (the same, by its time limit), "flaky" (fails at first).
        seconds: how long an attempt takes.
        reads: number of the earlier key whose output it is given, None for nothing.
        undo: what the node does that undoes it, "" for none.
    """

    does: Literal["ok", "fail", "hang", "flaky"] = "ok"
    tries: int = 1
    seconds: float = 0.0
    reads: int | None = None
    undo: Literal["", "ok", "fail"] = ""
    fallback: Do | None = None
    key: str = ""
    source: str = ""


@dataclass(frozen=True)
class Send:
    """A page."""

    key: str = ""


@dataclass(frozen=True)
class Pause:
    """A sleep."""

    seconds: float = 1.0
    key: str = ""


@dataclass(frozen=True)
class Ask:
    """A gate."""

    seconds: float | None = None
    on_timeout: Literal["fail", "continue"] = "fail"
    on_reject: Literal["fail", "continue"] = "fail"
    key: str = ""


@dataclass(frozen=True)
class If:
    """A decision.

    Attributes:
        test: "yes", "no", "raise" (until the world is mended), or "knows": whether a key of the flow is known there.
        about: number of that key.
    """

    test: Literal["yes", "no", "raise", "knows"]
    then: Parts
    otherwise: Parts = ()
    about: int = 0
    key: str = ""
    source: str = ""


@dataclass(frozen=True)
class Repeat:
    """A loop whose test holds after `rounds` rounds."""

    body: Parts
    rounds: int = 2
    at_most: int = 3
    every_s: float = 0.0
    on_end: Literal["fail", "continue"] = "fail"
    key: str = ""


@dataclass(frozen=True)
class Par:
    """Branches side by side."""

    branches: tuple[Parts, ...]
    key: str = ""


@dataclass(frozen=True)
class All:
    """An each over so many numbers."""

    body: Parts
    items: int = 2
    limit: int = 2
    keep_going: bool = True
    on_error: Literal["fail", "continue"] = "fail"
    key: str = ""


@dataclass(frozen=True)
class Kids:
    """So many child runs of one flow."""

    child: Parts
    count: int = 1
    limit: int = 2
    on_error: Literal["fail", "continue"] = "fail"
    key: str = ""


Part = Do | Send | Pause | Ask | If | Repeat | Par | All | Kids
Parts = tuple[Part, ...]

#: What the key of the last node of a round begins with.
ROUND = "r_"


def value_of(key: str, position: str, given: Any) -> Any:
    """What a node puts out for what it was given; the last one of a round how many rounds there were."""
    if key.startswith(ROUND):
        return int(position.rpartition("[")[2].partition("]")[0]) + 1
    return f"{key}-{zlib.crc32(repr(given).encode()):08x}"


def round_of(loop: Repeat) -> Do:
    """The last node of each round of a loop."""
    return Do(key=f"{ROUND}{loop.key}")


# Names


@dataclass
class _Names:
    """Numbers the keys of one flow."""

    count: int = 0
    gates: list[tuple[str, str]] = field(default_factory=list)

    def new(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"


@dataclass(frozen=True)
class Tree:
    """A whole flow.

    Attributes:
        gates: key and first position of each gate.
        told: whether it has a node that runs when it fails.
        limit_s: time for a whole run.
    """

    name: str
    parts: Parts
    gates: tuple[tuple[str, str], ...]
    told: bool = False
    limit_s: float | None = None

    def every(self) -> Iterator[Part]:
        """Every part, those of child flows left out."""
        return _every(self.parts)


def named(name: str, parts: Parts, *, told: bool = False, limit_s: float | None = None) -> Tree:
    """The parts with keys and references."""
    names = _Names()
    made, _ = _named(parts, names, (), "")
    keys = [part.key for part in _every(made) if isinstance(part, Do | Send | Ask | All | Kids)]
    return Tree(name, _told(made, keys), tuple(names.gates), told, limit_s)


def _every(parts: Parts) -> Iterator[Part]:
    for part in parts:
        yield part
        match part:
            case If():
                yield from _every(part.then)
                yield from _every(part.otherwise)
            case Repeat() | All():
                yield from _every(part.body)
            case Par():
                for branch in part.branches:
                    yield from _every(branch)


def _named(parts: Parts, names: _Names, known: tuple[str, ...], path: str) -> tuple[Parts, tuple[str, ...]]:
    made: list[Part] = []
    for part in parts:
        match part:
            case Do():
                named_, known = _do(part, names, known)
                made.append(named_)
            case Send() | Pause() | Ask():
                part = replace(part, key=names.new({Send: "s", Pause: "z", Ask: "g"}[type(part)]))
                if isinstance(part, Ask):
                    names.gates.append((part.key, path + part.key))
                made.append(part)
            case If():
                key = names.new("i")
                then, one = _named(part.then, names, known, path)
                otherwise, other = _named(part.otherwise, names, known, path)
                known = tuple(dict.fromkeys((*one, *other)))
                made.append(replace(part, key=key, then=then, otherwise=otherwise))
            case Repeat():
                key = names.new("l")
                body, known = _named(part.body, names, known, f"{path}{key}[0]/")
                made.append(replace(part, key=key, body=body))
            case Par():
                key = names.new("p")
                ends = [_named(branch, names, known, f"{path}{key}/") for branch in part.branches]
                known = tuple(dict.fromkeys(name for _, end in ends for name in end))
                made.append(replace(part, key=key, branches=tuple(branch for branch, _ in ends)))
            case All():
                key = names.new("e")
                body, known = _named(part.body, names, known, f"{path}{key}[0]/")
                made.append(replace(part, key=key, body=body))
            case Kids():
                made.append(replace(part, key=names.new("c"), child=_named(part.child, _Names(), (), "")[0]))
    return tuple(made), known


def _do(node: Do, names: _Names, known: tuple[str, ...]) -> tuple[Do, tuple[str, ...]]:
    source = "" if node.reads is None or not known else known[node.reads % len(known)]
    node = replace(node, key=names.new("n"), source=source)
    fallback = None
    others = (*known, node.key)
    if node.fallback is not None:
        fallback, others = _do(node.fallback, names, others)
    return replace(node, fallback=fallback), others


def _told(parts: Parts, keys: list[str]) -> Parts:
    """The parts with every test that asks for a key given one."""
    made: list[Part] = []
    for part in parts:
        match part:
            case If():
                source = keys[part.about % len(keys)] if keys else "none"
                then, otherwise = _told(part.then, keys), _told(part.otherwise, keys)
                part = replace(part, source=source, then=then, otherwise=otherwise)
            case Repeat() | All():
                part = replace(part, body=_told(part.body, keys))
            case Par():
                part = replace(part, branches=tuple(_told(branch, keys) for branch in part.branches))
        made.append(part)
    return tuple(made)


# The real flow


class Builder:
    """Builds real flows of trees.

    Attributes:
        world: tells whether it was mended.
        flows: what was built: the flow itself and those of its children.
    """

    def __init__(self, act: Activity[Any, Any], world: Any) -> None:
        self.act = act
        self.world = world
        self.flows: list[Flow] = []

    def flow(self, tree: Tree) -> Flow:
        made = self._into(flow(tree.name).triggered_by(manual()), tree.parts, tree.name)
        if tree.told:
            made = made.on_failure(self.act(given=[]).as_("tell"))
        if tree.limit_s is not None:
            made = made.with_timeout(timedelta(seconds=tree.limit_s))
        self.flows.append(made.build())
        return self.flows[-1]

    def _into(self, made: Any, parts: Parts, name: str, in_each: bool = False) -> Any:
        for part in parts:
            made = self._part(made, part, name, in_each)
        return made

    def _block(self, parts: Parts, name: str, in_each: bool) -> Fragment:
        made: Fragment = self._into(steps(), parts, name, in_each)
        return made

    def _part(self, made: FlowBuilder, part: Part, name: str, in_each: bool) -> Any:
        match part:
            case Do():
                return made.then(self._node(part, in_each))
            case Send():
                key = secret("PAGERDUTY_ROUTING_KEY")
                node = pagerduty.trigger_event(routing_key=key, summary="down", source="x", severity="critical")
                return made.then(node.as_(part.key))
            case Pause():
                return made.then_sleep(timedelta(seconds=part.seconds), key=part.key)
            case Ask():
                timeout = None if part.seconds is None else timedelta(seconds=part.seconds)
                return made.then_gate(part.key, timeout=timeout, on_timeout=part.on_timeout, on_reject=part.on_reject)
            case If():
                then = self._block(part.then, name, in_each)
                otherwise = self._block(part.otherwise, name, in_each) if part.otherwise else None
                return made.when(self._test(part), then=then, otherwise=otherwise, key=part.key)
            case Repeat():
                return made.then_loop(
                    part.key,
                    self._block((*part.body, round_of(part)), name, in_each),
                    until=lambda state: state[round_of(part).key] >= part.rounds,
                    every=timedelta(seconds=part.every_s),
                    at_most=part.at_most,
                    on_end=part.on_end,
                )
            case Par():
                return made.then_parallel(part.key, *(self._block(b, name, in_each) for b in part.branches))
            case All():
                return made.then_each(
                    part.key,
                    over=list(range(part.items)),
                    body=self._block(part.body, name, True),
                    limit=part.limit,
                    keep_going=part.keep_going,
                    on_error=part.on_error,
                )
            case Kids():
                child = self.flow(Tree(f"{name}_{part.key}", part.child, ()))
                inputs = list(range(part.count))
                return made.then_children(part.key, child, inputs=inputs, limit=part.limit, on_error=part.on_error)

    def _node(self, part: Do, in_each: bool) -> Node[Any]:
        given = [output(part.source, default="-") if part.source else None, item() if in_each else None]
        node = self.act(given=given).as_(part.key).with_timeout(timedelta(seconds=part.seconds + 5))
        attempts = None if part.does == "flaky" else part.tries
        node = node.with_retry(Retry(initial=timedelta(seconds=1), attempts=attempts))
        if part.undo:
            undo = self.act(given=[output(part.key)]).as_(f"undo_{part.key}")
            node = node.undo(undo.with_retry(Retry(attempts=1)))
        if part.fallback is not None:
            node = node.or_else(self._node(part.fallback, in_each))
        return node

    def _test(self, part: If) -> Any:
        def test(state: Any) -> bool:
            if part.test == "raise" and not self.world.mended:
                raise ValueError("a predicate")
            return part.source in state if part.test == "knows" else part.test != "no"

        return test
