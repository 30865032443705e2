"""Whether a run that was begun under another version of its flow can go on under this one.

It can when a rehearsal uses up every recorded entry, and when no step whose key was derived from its
neighbour could be taken for another one. Else the run is parked with the reason, and nothing executes.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from resolute.engines.embedded.rehearsal import ReadLarge, rehearse
from resolute.engines.embedded.store import Entry, RunRow
from resolute.errors import OutputError, ReplayMismatch, StoreDamaged
from resolute.model.recipe import Flow

#: Lines of the difference between two versions of a flow that a reason shows.
LINES_SHOWN: Final = 12


async def misfit(
    flow: Flow, run: RunRow, entries: Sequence[Entry], old_outline: str | None, read_large: ReadLarge
) -> str:
    """Why the run cannot go on under this flow and what to do, "" when it can.

    Args:
        old_outline: that of the flow under which the run was begun or last went on, None when it is not known.
    """
    try:
        stands = await rehearse(flow, run, entries, read_large)
    except ReplayMismatch as error:
        reason = str(error)
    except (OutputError, StoreDamaged) as error:
        return str(error)
    else:
        recorded = {entry.position for entry in entries}
        new = [position for position in stands.next if position not in recorded]
        reason = _unused(stands.unused, new) if stands.unused else ""
        if not reason and old_outline is not None:
            reason = _ambiguous(entries, old_outline, flow.outline)
    if not reason:
        return ""
    return has_changed(flow, run, reason, _difference(old_outline, flow))


def has_changed(flow: Flow, run: RunRow, reason: str, difference: str = "") -> str:
    """Why a run cannot go on under its flow, and what to do."""
    return f'The flow "{flow.name}" has changed since run {run.id} began: {reason}.{difference} {what_to_do(run.id)}'


def what_to_do(run_id: str) -> str:
    """What a reason ends with."""
    return (
        f"Restore that part of the flow and `resolute runs retry {run_id}`, "
        f"or `resolute runs cancel {run_id}` and start it anew."
    )


def _unused(unused: Sequence[Entry], following: Sequence[str]) -> str:
    first = min(unused, key=lambda entry: entry.order)
    what = f'"{first.position}" ({first.activity or first.kind})'
    if following:
        return (
            f'it has come by {what} already, and the flow now has "{following[0]}" to do before that. '
            "Put the new step behind what such runs have done, or give a renamed one its old key"
        )
    return (
        f"it has come by {what} already, which the flow does not have there any more. "
        "Give a renamed step its old key, with .as_(...) or key="
    )


def _ambiguous(entries: Sequence[Entry], old: str, new: str) -> str:
    """A recorded pause or decision without a key of its own that may be another one now."""
    before, after = _derived(old), _derived(new)
    for entry in entries:
        base = entry.key.partition("~")[0]
        if "~" in entry.key and entry.kind in ("branch", "sleep", "cursor") and not _same(before, after, base):
            return (
                f'it recorded "{entry.key}", a step without a key of its own, and what follows "{base}" is not '
                "what it was, so that this may be another step now. Give such steps a key: when(..., key=...), "
                "then_sleep(..., key=...)"
            )
    return ""


@dataclass
class _Derived:
    """A step whose key was derived: its kind, and the keys that stand inside it."""

    kind: str
    inside: set[str] = field(default_factory=set)


def _derived(outline: str) -> dict[str, list[_Derived]]:
    """The steps with derived keys of an outline, in order, by the key that theirs begins with."""
    found: dict[str, list[_Derived]] = {}
    open_: list[tuple[int, _Derived]] = []
    for line in outline.splitlines():
        words = line.split()
        depth = len(line) - len(line.lstrip())
        open_ = [(outer, step) for outer, step in open_ if outer < depth]
        if len(words) < 2:
            continue
        for _, step in open_:
            step.inside.add(words[1])
        if "~" in words[1]:
            made = _Derived(words[0])
            found.setdefault(words[1].partition("~")[0], []).append(made)
            open_.append((depth, made))
    return found


def _same(before: dict[str, list[_Derived]], after: dict[str, list[_Derived]], base: str) -> bool:
    old, new = before.get(base, []), after.get(base, [])
    return [step.kind for step in old] == [step.kind for step in new] and all(
        not was.inside or was.inside & now.inside for was, now in zip(old, new, strict=True)
    )


def _difference(old: str | None, flow: Flow) -> str:
    if old is None:
        return ""
    lines = [
        f"{line[0]} {line[1:].strip()}"
        for line in difflib.unified_diff(old.splitlines(), flow.outline.splitlines(), lineterm="", n=0)
        if line[:1] in "+-" and not line.startswith(("+++", "---"))
    ]
    more = f", and {len(lines) - LINES_SHOWN} more" if len(lines) > LINES_SHOWN else ""
    return f" What is different (- before, + now): {'; '.join(lines[:LINES_SHOWN])}{more}." if lines else ""
