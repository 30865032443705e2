"""One run as people see it: where it is, what it waits for, its journal, what was undone, and errors in full."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from resolute.cli.run_tree import Line, tree
from resolute.cli.run_waits import kept_signals, waits
from resolute.cli.terminal import pretty, shown, table, took, when
from resolute.engine import NodeView, RunView, child_id
from resolute.engines.embedded.store_engine import RUN_INPUT, RUN_OUTPUT
from resolute.jsontypes import JsonValue

#: Characters of an output that a table shows; `--value` and `--json` show all of it.
SHOWN: Final = 100
#: Lines of the input and output that are shown, unless all are asked for.
LINES: Final = 30
#: Entries that take their time; all others are decided at once.
_LASTING: Final = frozenset({"node", "child", "gate", "sleep"})
#: Errors that are told in full, unless all are asked for.
ERRORS: Final = 5
_UNITS: Final = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@dataclass(frozen=True)
class Undo:
    """What became of undoing one node.

    Attributes:
        position: of the node that was to be undone.
        node: the latest that was tried for it.
    """

    position: str
    node: NodeView


def undone(nodes: Iterable[NodeView]) -> list[Undo]:
    """What was undone, or was to be, in that order; its status is "done" when one node or its fallback did it."""
    found: dict[str, Undo] = {}
    for node in nodes:
        position, mark, rest = node.position.rpartition("~undo/")
        if mark and "/" not in rest and node.kind in ("node", "pages") and node.position.count("~undo/") == 1:
            found[position] = Undo(position, node)
    return list(found.values())


def page(run: RunView, *, worker: bool, parent: str = "", whole: bool = False, values: bool = True) -> list[str]:
    """The lines of a run.

    Args:
        worker: whether a worker owns the store.
        parent: the id of the run that started it, "" for none.
        whole: every round, item and error.
        values: also the run's input and output.
    """
    parts = [_head(run, worker, parent), _journal(run, whole), _undo(run), _signals(run), _errors(run, whole)]
    lines: list[str] = []
    for part in filter(None, [*parts, _values(run, whole) if values else []]):
        lines.extend(["", *part] if lines else part)
    return lines


def came_to(node: NodeView, run_id: str) -> str:
    """What an entry came to, on one line."""
    match node.kind, node.status:
        case _, "failed":
            text = node.error
        case "node", "waiting" if node.due_at is not None:
            at = when(node.due_at)
            text = f"next attempt at {at}: {node.error}" if node.error else f"turn at {at}"
        case "node", "running" if node.heartbeat is not None:
            text = f"says {_compact(node.heartbeat)}"
        case (("sleep" | "gate"), "waiting"):
            text = "" if node.due_at is None else f"until {when(node.due_at)}"
        case "gate", "done":
            text = answer(node.output)
        case "child", "done":
            text = f"run {child_id(run_id, node.position)}: {value(node.output)}"
        case "child", _:
            text = f"run {child_id(run_id, node.position)}"
        case (("loop" | "round" | "item" | "pages" | "sleep"), _):
            text = ""
        case _:
            text = "" if node.output is None else value(node.output)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def answer(output: JsonValue) -> str:
    """The answer of a gate in words."""
    if not isinstance(output, dict) or "outcome" not in output:
        return value(output)
    by = f" by {output['by']}" if output.get("by") else ""
    reason = f": {output['reason']}" if output.get("reason") else ""
    data = f", with {value(output['data'])}" if output.get("data") is not None else ""
    return f"{str(output['outcome']).replace('_', ' ')}{by}{reason}{data}"


def value(plain: JsonValue) -> str:
    """A value on one line; of one that is kept apart its size."""
    size = size_apart(plain)
    return _compact(plain) if size is None else f"({size}, kept apart)"


def size_apart(plain: JsonValue) -> str | None:
    """How large a value is that the journal keeps apart, None for one that stands there."""
    match plain:
        case {"large_value": {"sha256": str(), "characters": int(size)}}:
            for unit, of in _UNITS:
                if size >= of:
                    return f"{size / of:.1f} {unit}"
            return f"{size} B"
        case _:
            return None


def _compact(plain: JsonValue) -> str:
    return " ".join(pretty(plain).split())


def _head(run: RunView, worker: bool, parent: str) -> list[str]:
    error = f"{run.error_key}: {run.error}" if run.error_key else run.error
    again = "" if not run.retries else ", retried once" if run.retries == 1 else f", retried {run.retries} times"
    ended = f"{when(run.finished_at)} UTC, after {took(run.created_at, run.finished_at)}" if run.finished_at else ""
    lines: dict[str, Sequence[str]] = {
        "run": [run.id],
        "flow": [run.flow],
        "status": [run.status.replace("_", " ") + again],
        "trigger": [f"child of {parent}" if parent else run.trigger],
        "started": [f"{when(run.created_at)} UTC"],
        "ended": [ended],
        "deadline": [f"{when(run.deadline_at)} UTC" if run.deadline_at and not run.is_finished else ""],
        "ending": [run.stopping],
        "waits for": waits(run),
        "goes on": [f"{when(run.due_at)} UTC at the latest" if run.due_at and run.status == "waiting" else ""],
        "worker": ["" if worker or run.is_finished else "none runs on this store now; the next one goes on with it"],
        "error": error.splitlines(),
    }
    return [
        f"{f'{name}:' if not number else '':<10} {shown(text)}"
        for name, texts in lines.items()
        for number, text in enumerate(filter(None, texts))
    ]


def _journal(run: RunView, whole: bool) -> list[str]:
    lines = tree(run.nodes, whole=whole)
    if not lines:
        return []
    heads = ["STEP", "WHAT", "STATUS", "TRIES", "READY (UTC)", "TOOK", "CAME TO", "ROW"]
    rows = [_row(line, run) for line in lines]
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    cut = ("WHAT", "CAME TO")
    return table([heads[place] for place in kept], [[row[place] for place in kept] for row in rows], width, cut=cut)


def _row(line: Line, run: RunView) -> list[str]:
    node, name = line.node, "  " * line.depth + line.name
    if node is None:
        return [name, "", line.status, "", "", "", line.about, ""]
    return [
        name,
        node.activity or node.kind,
        line.status,
        str(node.attempt or ""),
        _moment(node.ready_at, run.created_at),
        took(node.ready_at, node.finished_at) if node.ready_at and node.kind in _LASTING else "",
        line.about or came_to(node, run.id),
        str(node.log_id or ""),
    ]


def _moment(at: datetime | None, begun: datetime) -> str:
    """A time of the day on which the run began, and with its date on any other."""
    text = when(at)
    return text.partition(" ")[2] if text[:10] == when(begun)[:10] else text


def _undo(run: RunView) -> list[str]:
    found = undone(run.nodes)
    if not found:
        return []
    why = next((str(node.output) for node in run.nodes if node.kind == "undo"), "")
    rows = [(undo.position, undo.node.key, undo.node.status, came_to(undo.node, run.id)) for undo in found]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    heads = ("UNDO OF", "BY", "STATUS", "CAME TO")
    return [f"undo because: {shown(why)}", *table(heads, rows, width, cut=("BY", "CAME TO"))]


def _signals(run: RunView) -> list[str]:
    kept = kept_signals(run)
    return [
        f'kept for the gate "{shown(signal.key)}" since {when(signal.ready_at)} UTC: {shown(answer(signal.output))}'
        for signal in kept
    ]


def _errors(run: RunView, whole: bool) -> list[str]:
    failed = [node for node in run.nodes if node.status == "failed" and node.error]
    told = failed if whole else failed[:ERRORS]
    lines: list[str] = []
    for node in told:
        tries = f", {node.attempt} attempt{'' if node.attempt == 1 else 's'}" if node.attempt else ""
        lines.append(f"{shown(node.position)} ({node.activity or node.kind}{tries}) failed:")
        lines.extend(f"  {shown(line)}" for line in node.error.splitlines())
    if len(failed) > len(told):
        lines.append(f"and {len(failed) - len(told)} more; --all shows every error")
    return lines


def _values(run: RunView, whole: bool) -> list[str]:
    lines: list[str] = []
    for name, position, plain in (("input", RUN_INPUT, run.input), ("output", RUN_OUTPUT, run.output)):
        size, all_of_it = size_apart(plain), f"`resolute runs show {run.id} --value {position}` prints it"
        told = [f"{name}: ({size}, kept apart; {all_of_it})"] if size else f"{name}: {pretty(plain)}".splitlines()
        if plain is not None:
            lines.extend(shown(line) for line in (told if whole else told[:LINES]))
        if len(told) > LINES and not whole:
            lines.append(f"and {len(told) - LINES} lines more; {all_of_it}")
    return lines
