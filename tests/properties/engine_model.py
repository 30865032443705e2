"""A small model of the flow language: what a run of a tree must have come to, given what happened to it from outside.

It is synchronous and knows no engine: it walks the tree once and reads in the journal only what cannot be told from
the tree, namely answers of gates, items that were not begun, and how far a run came that was stopped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.properties.engine_tree import (
    All,
    Ask,
    Do,
    If,
    Kids,
    Par,
    Part,
    Parts,
    Pause,
    Repeat,
    Send,
    Tree,
    round_of,
    value_of,
)


@dataclass(frozen=True)
class Recorded:
    """One entry of a journal, as far as the model looks at it."""

    position: str
    kind: str
    status: str
    given: Any = None
    output: Any = None
    failures: int = 0


@dataclass(frozen=True)
class Ended:
    """A run that has ended, and its journal."""

    id: str
    status: str
    error: str
    error_key: str
    output: Any
    journal: Mapping[str, Recorded]
    retries: int = 0


class Stopped(Exception):
    """The run was stopped here."""


class Failed(Exception):
    """A step failed; `faults` are the positions that failed it."""

    def __init__(self, key: str, faults: set[str]) -> None:
        super().__init__(key)
        self.key = key
        self.faults = faults


@dataclass
class View:
    """What a branch knows."""

    outputs: dict[str, Any] = field(default_factory=dict)
    own: list[tuple[str, Any]] = field(default_factory=list)
    item: int | None = None

    def add(self, key: str, value: Any) -> None:
        self.outputs[key] = value
        self.own.append((key, value))

    def fork(self, item: int | None = None) -> View:
        return View(dict(self.outputs), [], self.item if item is None else item)

    def join(self, branch: View) -> None:
        for key, value in branch.own:
            self.add(key, value)


@dataclass(frozen=True)
class Undoable:
    """A node that has succeeded and can be undone, and what it had put out."""

    position: str
    node: Do
    value: Any


#: Stands for outputs that the model does not foretell: pages and answers.
OPAQUE = "*"
_OPAQUE_KEY = re.compile(r"[sg]\d+")


class Model:
    """Walks the tree of one run beside its journal.

    Attributes:
        mended: whether what fails until the world is mended may have succeeded.
        must_succeed: whether it must have, because everything that had failed was tried again.
        undoable: what was done that can be undone.
    """

    def __init__(
        self,
        tree: Tree,
        run: Ended,
        children: Callable[[str], Ended | None],
        *,
        mended: bool = False,
        must_succeed: bool = False,
    ) -> None:
        self.tree = tree
        self.run = run
        self.children = children
        self.mended = mended
        self.must_succeed = must_succeed
        self.undoable: list[Undoable] = []
        self._seen: set[str] = set()

    def check(self) -> Any:
        """What the run must have put out; AssertionError when it is not what the tree says."""
        view = View()
        failed: Failed | None = None
        stopped = False
        try:
            self._block(self.tree.parts, view, "")
        except Stopped:
            stopped = True
        except Failed as failure:
            failed = failure
        run = self.run
        cancelled = run.status == "cancelled"
        timed_out = run.status == "failed" and run.error.startswith("The run did not end within")
        if failed is None:
            assert cancelled or timed_out or not stopped, f"{run.id} {run.status} without reaching its end"
            assert cancelled or timed_out or run.status == "succeeded", f"{run.id} {run.status}: {run.error}"
        else:
            assert run.status == "failed", f"{run.id} {run.status}, but {failed.key} had failed"
            assert not self.must_succeed or all(map(self._may_fail_again, failed.faults)), run.error
            assert run.error_key == failed.key, f"{run.id} failed at {run.error_key}, expected {failed.key}"
            assert all(position in run.error for position in failed.faults if len(failed.faults) > 1), run.error
        if run.status == "succeeded":
            assert self._told(run.output) == view.outputs, f"{run.id} put out {run.output}, expected {view.outputs}"
        self._ends(failed)
        return view.outputs

    def _ends(self, failed: Failed | None) -> None:
        """What comes after the end: undo, failure node, and nothing that nobody knows of."""
        journal = self.run.journal
        left = {position for position, entry in journal.items() if entry.kind != "signal"} - self._seen
        if self.run.status != "succeeded" and self.undoable and "Nothing was undone" not in self.run.error:
            self._take("~undo", "undo")
            left.discard("~undo")
            for done in self.undoable:
                position = f"{done.position}~undo/undo_{done.node.key}"
                entry = self._take(position, "node")
                left.discard(position)
                assert entry.status == ("failed" if done.node.undo == "fail" else "done"), f"{position} {entry.status}"
                assert entry.given == [done.value], f"{position} was given {entry.given}, expected {[done.value]}"
                if done.node.undo == "fail":
                    assert position in self.run.error, f"nobody is told that {position} was not undone"
        if self.tree.told and self.run.status == "failed":
            place = f"~failure[{self.run.retries}]"
            assert journal[f"{place}/tell"].status == "done", "the failure node did not run"
        left = {position for position in left if not position.startswith("~failure[")}
        assert not left, f"{self.run.id} recorded what the flow does not have: {sorted(left)}"
        open_ = [entry for entry in journal.values() if entry.status in ("running", "waiting")]
        assert all(entry.kind == "signal" for entry in open_), f"{self.run.id} has ended with {open_}"

    def _may_fail_again(self, position: str) -> bool:
        """Whether a run that is retried in a mended world may fail with this."""
        kind = self.run.journal[position].kind
        return kind in ("gate", "child") or position.endswith("~end")

    def _told(self, output: Any) -> Any:
        """The run's output with what the model does not foretell made opaque."""
        if isinstance(output, dict):
            return {key: OPAQUE if _OPAQUE_KEY.fullmatch(key) else self._told(value) for key, value in output.items()}
        return [self._told(value) for value in output] if isinstance(output, list) else output

    def _take(self, position: str, kind: str, *statuses: str) -> Recorded:
        """The entry that must stand there; Stopped where a run that was stopped did not come."""
        entry = self.run.journal.get(position)
        if entry is None:
            raise Stopped
        assert entry.kind == kind, f"{position} is a {entry.kind}, expected a {kind}"
        self._seen.add(position)
        if entry.status == "cancelled":
            raise Stopped
        assert not statuses or entry.status in statuses, f"{position} is {entry.status}, expected {statuses}"
        return entry

    # Steps

    def _block(self, parts: Parts, view: View, path: str) -> None:
        for part in parts:
            self._part(part, view, path)

    def _part(self, part: Part, view: View, path: str) -> None:
        match part:
            case Do():
                self._do(part, view, path)
            case Send():
                self._take(path + part.key, "node", "done")
                view.add(part.key, OPAQUE)
            case Pause():
                self._take(path + part.key, "sleep", "done")
            case Ask():
                self._ask(part, view, path)
            case If():
                entry = self._take(path + part.key, "branch")
                if part.test == "raise" and entry.status == "failed":
                    raise Failed(part.key, {path + part.key})
                assert part.test != "raise" or self.mended, (
                    f"{path + part.key} is {entry.output}, and cannot be decided"
                )
                holds = part.source in view.outputs if part.test == "knows" else part.test != "no"
                assert entry.output is holds, f"{path + part.key} is {entry.output}, known are {list(view.outputs)}"
                self._block(part.then if holds else part.otherwise, view, path)
            case Repeat():
                self._repeat(part, view, path)
            case Par():
                branches = [view.fork() for _ in part.branches]
                ends = [
                    self._end(block, b, f"{path}{part.key}/") for block, b in zip(part.branches, branches, strict=True)
                ]
                for branch in branches:
                    view.join(branch)
                self._together(part.key, ends)
            case All():
                self._all(part, view, path)
            case Kids():
                self._kids(part, view, path)

    def _do(self, node: Do, view: View, path: str) -> None:
        position = path + node.key
        given = [view.outputs.get(node.source, "-") if node.source else None, view.item]
        entry = self._take(position, "node", "done", "failed")
        assert entry.given == given, f"{position} was given {entry.given}, expected {given}"
        may_fail = node.does in ("fail", "hang")
        if entry.status == "failed":
            assert may_fail, f"{position} has failed, and could not"
            assert self.mended or entry.failures == node.tries, f"{position} failed {entry.failures} times"
            if node.fallback is None:
                raise Failed(node.key, {position})
            self._do(node.fallback, view, path)
            return
        assert self.mended or not may_fail, f"{position} has succeeded, and could not"
        value = value_of(node.key, position, given)
        assert entry.output == value, f"{position} put out {entry.output}, expected {value}"
        view.add(node.key, value)
        if node.undo:
            self.undoable.append(Undoable(position, node, value))

    def _ask(self, gate: Ask, view: View, path: str) -> None:
        entry = self._take(path + gate.key, "gate", "done")
        outcome = entry.output["outcome"]
        view.add(gate.key, OPAQUE)
        assert outcome != "timed_out" or gate.seconds is not None, f"{entry.position} timed out, and has no limit"
        if (outcome == "rejected" and gate.on_reject == "fail") or (
            outcome == "timed_out" and gate.on_timeout == "fail"
        ):
            raise Failed(gate.key, {entry.position})

    def _repeat(self, loop: Repeat, view: View, path: str) -> None:
        place = path + loop.key
        self._take(place, "loop", "done")
        for number in range(1, loop.at_most + 1):
            here = f"{place}[{number - 1}]"
            self._take(here, "round", "done")
            self._block((*loop.body, round_of(loop)), view, f"{here}/")
            is_over = self._take(f"{here}~until", "branch", "done").output
            assert is_over is (number >= loop.rounds), f"{here}~until is {is_over}"
            if is_over:
                return
            ends = self._take(f"{here}~end", "branch", "done").output
            assert bool(ends) is (number == loop.at_most), f"{here}~end is {ends!r}"
            if ends and loop.on_end == "fail":
                raise Failed(loop.key, {f"{here}~end"})
            if ends:
                return
            if loop.every_s:
                self._take(f"{here}~every", "sleep", "done")

    def _end(self, block: Parts, view: View, path: str) -> Failed | Stopped | None:
        try:
            self._block(block, view, path)
        except (Failed, Stopped) as end:
            return end
        return None

    def _together(self, key: str, ends: Sequence[Failed | Stopped | None], on_error: str = "fail") -> None:
        if any(isinstance(end, Stopped) for end in ends):
            raise Stopped
        failures = [end for end in ends if isinstance(end, Failed)]
        if failures and on_error == "fail":
            raise Failed(key, {position for failure in failures for position in failure.faults})

    def _all(self, each: All, view: View, path: str) -> None:
        place = path + each.key
        items = self._take(place, "each", "done").output
        assert items == list(range(each.items)), f"{place} works through {items}"
        branches: list[View | None] = []
        ends: list[Failed | Stopped | None] = []
        for index in range(each.items):
            here = f"{place}[{index}]"
            branch: View | None = view.fork(index)
            end: Failed | Stopped | None = None
            try:
                if not each.keep_going and not self._take(here, "item", "done").output:
                    branch = None
            except Stopped as stop:
                end = stop
            if branch is not None and end is None:
                end = self._end(each.body, branch, f"{here}/")
            branches.append(branch)
            ends.append(end)
        skipped = [index for index, branch in enumerate(branches) if branch is None]
        failed = [index for index, end in enumerate(ends) if isinstance(end, Failed)]
        assert not skipped or failed, f"{place} left out {skipped}, and nothing had failed"
        for branch in branches:
            if branch is not None:
                view.join(branch)
        if not any(isinstance(end, Stopped) for end in ends):
            view.add(
                each.key,
                {
                    "results": [{} if branch is None else dict(branch.own) for branch in branches],
                    "errors": [(index, ends[index].key) for index in failed],  # type: ignore[union-attr]
                    "skipped": skipped,
                },
            )
        self._together(each.key, ends, each.on_error)

    def _kids(self, kids: Kids, view: View, path: str) -> None:
        place = path + kids.key
        inputs = self._take(place, "children", "done").output
        assert inputs == list(range(kids.count)), f"{place} starts {inputs}"
        results: list[Any] = []
        ends: list[Failed | Stopped | None] = []
        for index in range(kids.count):
            result, end = None, None
            try:
                result = self._kid(kids, f"{place}[{index}]")
            except (Failed, Stopped) as stop:
                end = stop
            results.append(result)
            ends.append(end)
        failed = [index for index, end in enumerate(ends) if isinstance(end, Failed)]
        if not any(isinstance(end, Stopped) for end in ends):
            ids = [f"{self.run.id}/{place}[{index}]" for index in range(kids.count)]
            errors = [(index, kids.key) for index in failed]
            view.add(kids.key, {"run_ids": ids, "results": results, "errors": errors})
        self._together(kids.key, ends, kids.on_error)

    def _kid(self, kids: Kids, here: str) -> Any:
        child = self.children(f"{self.run.id}/{here}")
        tree = Tree(f"{self.tree.name}_{kids.key}", kids.child, ())
        result = None if child is None else Model(tree, child, self.children, mended=self.mended).check()
        entry = self._take(here, "child", "done", "failed")
        assert child is not None, f"{here} is {entry.status}, and there is no such run"
        if entry.status == "failed":
            assert child.status != "succeeded", f"{here} has failed, and its run has not"
            raise Failed(kids.key, {here})
        assert child.status == "succeeded", f"{here} has succeeded, and its run {child.status}"
        return result


def plain(output: Any) -> Any:
    """A run's output as the model tells it: of errors the index and the key."""
    if isinstance(output, dict):
        told = {key: plain(value) for key, value in output.items()}
        if "errors" in told and "results" in told:
            told["errors"] = [(fault["index"], fault["key"]) for fault in output["errors"]]
        return told
    return [plain(value) for value in output] if isinstance(output, list) else output


def parsed(text: str) -> Any:
    """Plain data of journal text, None for nothing."""
    return json.loads(text) if text else None
