"""How a run on Temporal ends: what its walk has come to, as its row, and all that went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from resolute.engine import Fault, RunStopped, StepFailed
from resolute.engines.embedded.run_journal import ERROR_CHARS
from resolute.engines.embedded.store import RunRow
from resolute.engines.embedded.views import ended
from resolute.jsontypes import JsonValue
from resolute.model.codec import to_text


@dataclass(frozen=True)
class End:
    """What a walk has come to: a result, a failure, or a stop."""

    result: JsonValue = None
    failure: StepFailed | None = None
    stopped: RunStopped | None = None

    @property
    def faults(self) -> Sequence[Fault]:
        """All that went wrong, and what could not be undone."""
        failure = self.failure if self.stopped is None else self.stopped.failure
        undo_faults = [fault for end in (self.failure, self.stopped) if end is not None for fault in end.undo_faults]
        return (*(failure.faults if failure is not None else ()), *undo_faults)

    def row(self, run: RunRow, now: datetime) -> RunRow:
        """The run's row with its end."""
        if self.stopped is not None:
            left = _not_undone(self.stopped.undo_faults)
            error = f"{str(self.stopped).rstrip('.')}.{left}" if left else str(self.stopped)
            status = "cancelled" if self.stopped.failure is None else "failed"
            return run.but(status=status, error=error[:ERROR_CHARS], **ended(now))
        if self.failure is not None:
            error = self.failure.error + _not_undone(self.failure.undo_faults)
            return run.but(status="failed", error=error[:ERROR_CHARS], error_key=self.failure.key, **ended(now))
        return run.but(status="succeeded", output=to_text(self.result), **ended(now))


def _not_undone(faults: Sequence[Fault]) -> str:
    """What could not be undone, as the rest of an error."""
    if not faults:
        return ""
    return f" Not undone: {'; '.join(f'{fault.position}: {fault.error}' for fault in faults)}"
