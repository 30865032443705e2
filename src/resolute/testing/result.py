"""`FlowResult`: what a run under test has come to: its state as predicates see it, its result and its journal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import ValidationError

from resolute.branch import BranchView
from resolute.engine import RunStatus, RunStopped, RunView, StepFailed
from resolute.engines.embedded.intact import intact
from resolute.engines.embedded.memory import Tables
from resolute.engines.embedded.rehearsal import NotYet, Rehearsal
from resolute.engines.embedded.views import view, with_large
from resolute.errors import OutputError, ReplayMismatch, RunFailed
from resolute.interpreter import Walk
from resolute.model.recipe import Flow
from resolute.model.state import FlowState


class FlowResult(FlowState):
    """The state at the end of a run: outputs by key, typed as the flow sees them, and how the run ended.

    Attributes:
        result: what the run returns, as plain JSON values; None for one that did not succeed.
        run: the run with its journal.
    """

    __slots__ = ("result", "run")

    def __init__(self, flow: str, run: RunView, input: Any, known: BranchView) -> None:
        super().__init__(flow, run.id, input, known.outputs, known.rounds, "(the test)")
        self.run = run
        self.result: Any = run.output

    @property
    def status(self) -> RunStatus:
        """How the run ended: "succeeded", "failed", "cancelled" or "needs_attention"."""
        return self.run.status


class FlowFailed(RunFailed):
    """A run under test ended without success.

    Attributes:
        state: what the run had come to by then.
    """

    def __init__(self, state: FlowResult) -> None:
        run = state.run
        super().__init__(run.id, run.status, run.error_key or None, run.error)
        self.state = state


async def result_of(flow: Flow, tables: Tables, run_id: str) -> FlowResult:
    """What a run has come to so far, read from its journal as a restart would read it."""
    run = tables.runs[tables.run_no[run_id]]
    entries = sorted(tables.entries.get(run.no, {}).values(), key=lambda entry: entry.order)
    disk = _Disk(tables)
    port = Rehearsal(run, {entry.position: entry for entry in entries}, lambda digest: disk.large(run.no, digest))
    known = BranchView()
    # The walk comes as far as the journal goes; what ended the run, it tells itself.
    with (
        unheard("resolute.run"),
        suppress(NotYet, StepFailed, RunStopped, ReplayMismatch, OutputError, ValidationError),
    ):
        await port.begin(flow)
        await Walk(flow, port).block(flow.steps, known, "")
    return FlowResult(flow.name, view(await with_large(disk, run), entries), port.input, known)


class _Disk:
    """Where large values are kept."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def large(self, run_no: int, digest: str) -> str:
        text = self._tables.large.get((run_no, digest))
        return intact(None if text is None else text.encode(), run_no, digest, "the store in memory")


@contextmanager
def unheard(logger: str) -> Iterator[None]:
    """While inside, nothing is logged under this name: it was told already, or will be."""
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
