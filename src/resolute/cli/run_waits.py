"""What an unfinished run waits for: gates with the line that answers them, pauses, further attempts, children."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from resolute.cli.terminal import when
from resolute.engine import NodeView, RunView, child_id

#: Waits of one kind that are told; a run may wait at thousands of places.
TOLD: Final = 5


def waiting_gates(run: RunView) -> list[NodeView]:
    """The gates at which a run waits now."""
    return [] if run.is_finished else [node for node in run.nodes if (node.kind, node.status) == ("gate", "waiting")]


def kept_signals(run: RunView) -> list[NodeView]:
    """The answers that no gate has taken yet."""
    return [node for node in run.nodes if (node.kind, node.status) == ("signal", "waiting")]


def gate_name(gate: NodeView, others: Sequence[NodeView]) -> str:
    """What a signal for this gate has to name: its key, or its position where more than one waits under that key."""
    return gate.position if sum(other.key == gate.key for other in others) > 1 else gate.key


def signal_line(run_id: str, gate: str) -> str:
    """The command that answers a gate, to be copied."""
    return f"resolute runs signal {shlex.quote(run_id)} {shlex.quote(gate)} --approve"


def waits(run: RunView) -> list[str]:
    """What the run waits for, in lines; a gate is followed by the command that answers it, indented."""
    if run.is_finished:
        return []
    if run.status == "queued":
        return [run.waiting_for or "its turn: the worker has as many runs as it takes at once"]
    lines: list[str] = []
    gates = waiting_gates(run)
    for gate in gates[:TOLD]:
        lines.append(f'the gate "{gate.position}"{_until(gate)}; answer it with --approve or --reject:')
        lines.append(f"  {signal_line(run.id, gate_name(gate, gates))}")
    lines.extend(_more(len(gates), "gates"))
    for kind in ("sleep", "node", "child"):
        found = [node for node in run.nodes if (node.kind, node.status) == (kind, "waiting")]
        lines.extend(_wait(run, node) for node in found[:TOLD])
        lines.extend(_more(len(found), "more of the kind"))
    if run.waiting_for and (not lines or any(node.log_id and node.status == "running" for node in run.nodes)):
        lines.insert(0, run.waiting_for)  # only the incident log knows why a page waits, and the engine told it here
    return lines


def _wait(run: RunView, node: NodeView) -> str:
    match node.kind:
        case "sleep":
            return f'"{node.position}" sleeps{_until(node)}'
        case "child":
            return f'"{node.position}" waits for the run {child_id(run.id, node.position)}'
        case _ if node.error:
            again = f"{_at(node)} (attempt {node.attempt + 1})"
            return f'"{node.position}" is tried again{again}: {_first_line(node.error)}'
        case _:
            return f'"{node.position}" waits for its turn{_at(node)}'


def _more(count: int, what: str) -> Iterable[str]:
    return [f"and {count - TOLD} {what}"] if count > TOLD else []


def _until(node: NodeView) -> str:
    return "" if node.due_at is None else f" until {when(node.due_at)} UTC"


def _at(node: NodeView) -> str:
    return "" if node.due_at is None else f" at {when(node.due_at)} UTC"


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
