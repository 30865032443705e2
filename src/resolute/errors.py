"""Every error Resolute raises, in one tree.

    ResoluteError
    ├─ FlowError        the author of a flow has something to mend
    ├─ ConfigError      the operator has something to mend
    ├─ ProviderError    a service outside did not do what was asked
    │  ├─ ProviderRejected         permanent: repeating cannot help
    │  ├─ ProviderUnavailable      nothing happened: try again
    │  └─ ProviderOutcomeUnknown   sent, no answer that can be trusted: look first
    ├─ ActivityError    an attempt failed; `permanent` and `retry_after` say what next
    │  └─ InputError, OutputError, AttemptTimeout, NodeMisuse
    ├─ RunFailed        what `Run.result()` raises for a run that did not succeed
    └─ EngineError
       └─ RunNotFound (RunPruned), RunConflict, ReplayMismatch, StoreDamaged,
          StoreError (StoreOwned, StoreUnavailable, StoreBroken)

Texts follow one order: what happened, what was expected, how to fix it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta


class ResoluteError(Exception):
    """Anything that Resolute itself raises."""


class FlowError(ResoluteError):
    """A flow is not well made; `problems` lists every fault that was found, a sentence or two each."""

    def __init__(self, flow: str, problems: Sequence[str]) -> None:
        self.flow = flow
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f'Flow "{flow}" cannot be built: {count} problem{"s" if count != 1 else ""}.'
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class ConfigError(ResoluteError):
    """A setting, secret or file that the operator provides is missing or wrong."""


class ProviderError(ResoluteError):
    """A service outside did not do what was asked.

    Attributes:
        status: HTTP status of the answer, None when there was none.
        code: the service's own error code, None when it gave none.
        errors: the service's reasons, in its order.
        request_id: the service's id of the request (`x-request-id`), for its support.
        retry_after: how long the service asked to wait, None when it named no time.
    """

    permanent = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: int | None = None,
        errors: Sequence[str] = (),
        request_id: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.errors = tuple(errors)
        self.request_id = request_id
        self.retry_after = retry_after


class ProviderRejected(ProviderError):
    """The service refused the request for good; repeating it cannot help."""

    permanent = True


class ProviderUnavailable(ProviderError):
    """The service did nothing with the request; it can be repeated, after `retry_after` if named."""


class ProviderOutcomeUnknown(ProviderError):
    """The request left, no answer came that can be trusted; it may or may not have been applied."""


class ActivityError(ResoluteError):
    """An attempt of an activity failed.

    Raise it from an activity to say more than an exception can: `permanent=True` ends the
    retries at once, `retry_after` replaces the computed delay before the next attempt.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


class InputError(ActivityError):
    """A node's resolved inputs do not fit its activity; permanent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class OutputError(ActivityError):
    """An activity returned something that does not survive the journal; permanent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class AttemptTimeout(ActivityError):
    """An attempt did not return within the node's timeout."""


class NodeMisuse(ResoluteError, TypeError):
    """A node or reference was used as if it were a value; the text shows what to write instead."""


class RunFailed(ResoluteError):
    """A run ended without success.

    Attributes:
        status: the run's status, e.g. "failed" or "cancelled".
        key: key of the node or step that ended it, None when it was the run as a whole.
        error: what went wrong, as it stands in the journal.
    """

    def __init__(self, run_id: str, status: str, key: str | None, error: str) -> None:
        at = f' at "{key}"' if key else ""
        super().__init__(f"Run {run_id} {status}{at}: {error}")
        self.run_id = run_id
        self.status = status
        self.key = key
        self.error = error


class EngineError(ResoluteError):
    """The engine cannot do what was asked."""


class RunNotFound(EngineError):
    """No run has this id."""


class RunPruned(RunNotFound):
    """The run with this id has ended and was pruned: how it ended is known, its journal and output are gone."""


class RunConflict(EngineError):
    """A run with this id exists already, with another flow or input."""


class ReplayMismatch(EngineError):
    """A journal does not fit the flow it is replayed against."""


class StoreDamaged(EngineError):
    """A recorded value is gone or is not what was written; the run that needs it cannot go on."""


class StoreError(EngineError):
    """The journal cannot be read or written."""


class StoreOwned(StoreError):
    """Another process owns the store; the text names it."""


class StoreUnavailable(StoreError):
    """The journal cannot be written at the moment (disk full, locked); the batch may be repeated."""


class StoreBroken(StoreError):
    """The journal failed in a way that repeating cannot mend (I/O error, not a database, newer schema)."""
