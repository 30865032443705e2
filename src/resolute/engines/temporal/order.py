"""What is handed to a run on Temporal when it is started, and how it stands, as JSON for payloads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from resolute.engines.embedded.store import Entry, RunRow
from resolute.jsontypes import JsonValue

#: What every signal of ours that is no gate begins with; no gate has such a key.
OWN: Final = "~"
#: The signal that says who cancels a run and why; the cancel itself is Temporal's own.
CANCEL: Final = "~cancel"
#: The query that answers with the run and its journal.
SHOW: Final = "~show"
#: The query that is answered by who can walk the run, and fails with the reason where its flow does not fit it.
WALK: Final = "~walk"
#: What a worker says of a run whose flow it lacks.
LACKS_FLOW: Final = "is not among the flows of this worker"
#: Types of failure: of a run; of a node, for good; of one attempt of it; of one that only waits.
RUN_FAILED: Final = "RunFailed"
NODE_FAILED: Final = "NodeFailed"
ATTEMPT_FAILED: Final = "AttemptFailed"
POSTPONED: Final = "Postponed"
#: Names of our own activities; no activity of a flow has a blank in its name.
BEGIN: Final = "resolute begin"
REMEMBER: Final = "resolute remember"
DROP_PAGE: Final = "resolute drop page"
AWAIT_RUN: Final = "resolute await run"
TELL: Final = "resolute tell failure"
AT_GATE: Final = "resolute at gate"
#: What the task queue for pages, and for our own short questions, has behind the name of its worker's.
PAGES: Final = "~pages"
#: What that of a run has behind it for which only the process works that holds its secrets; its id follows.
OWN_QUEUE: Final = "~run "

#: Fields of runs and entries that hold a time.
_TIMES: Final = frozenset({"created_at", "ready_at", "due_at", "finished_at", "deadline_at", "scheduled_at"})


@dataclass(frozen=True)
class Standing:
    """How a run stands: handed to its next execution, and kept with its failure.

    Attributes:
        intents: what its unsettled pages mean to send, by position.
        outline: that of the flow under which it stood so, "" where that was not written down.
    """

    row: RunRow
    entries: Sequence[Entry]
    intents: dict[str, Any] = field(default_factory=dict)
    outline: str = ""

    def to_json(self) -> JsonValue:
        entries: list[JsonValue] = [_plain(entry) for entry in self.entries]
        return {"row": _plain(self.row), "entries": entries, "intents": self.intents, "outline": self.outline}

    @staticmethod
    def from_json(value: Any) -> Standing:
        """The standing that `to_json` wrote down."""
        entries = [Entry(**_fields(entry)) for entry in value["entries"]]
        row = RunRow(**_fields(value["row"]))
        return Standing(row, entries, dict(value.get("intents", {})), str(value.get("outline", "")))


@dataclass(frozen=True)
class RunOrder:
    """What starts an execution.

    Attributes:
        input: as it was given; the execution checks it against the flow.
        created_at: when the run was asked for, None for when its first execution began.
        after: id of the run that has to end before this one begins, "" for none.
        goes_on: how the run stood when an earlier execution ended, None for a new run.
        is_retry: whether that had failed and is taken up again, or was only continued.
        retries: how often a run that begins anew was begun before.
        notes_gates: whether its history tells of each gate at which it waits; that of an earlier version does not.
    """

    input: JsonValue = None
    trigger: str = "client"
    input_digest: str = ""
    scheduled_at: datetime | None = None
    created_at: datetime | None = None
    after: str = ""
    goes_on: Standing | None = None
    is_retry: bool = False
    retries: int = 0
    notes_gates: bool = True

    def to_json(self) -> JsonValue:
        found: dict[str, JsonValue] = {
            "input": self.input,
            "trigger": self.trigger,
            "input_digest": self.input_digest,
            "scheduled_at": None if self.scheduled_at is None else self.scheduled_at.isoformat(),
            "created_at": None if self.created_at is None else self.created_at.isoformat(),
            "after": self.after,
            "notes_gates": self.notes_gates,
        }
        if self.retries:
            found["retries"] = self.retries
        if self.goes_on is not None:
            found |= {"goes_on": self.goes_on.to_json(), "is_retry": self.is_retry}
        return found

    @staticmethod
    def from_json(value: Any) -> RunOrder:
        """The order of a payload; whoever starts a run by Temporal's own tools may leave out all but the input."""
        given = value if isinstance(value, dict) else {}
        at, created_at, stood = given.get("scheduled_at"), given.get("created_at"), given.get("goes_on")
        return RunOrder(
            input=given.get("input"),
            trigger=str(given.get("trigger", "client")),
            input_digest=str(given.get("input_digest", "")),
            scheduled_at=None if at is None else datetime.fromisoformat(at),
            created_at=None if created_at is None else datetime.fromisoformat(created_at),
            after=str(given.get("after", "")),
            goes_on=None if stood is None else Standing.from_json(stood),
            is_retry=bool(given.get("is_retry", False)),
            retries=int(given.get("retries", 0)),
            notes_gates=bool(given.get("notes_gates", False)),
        )


def _plain(row: RunRow | Entry) -> JsonValue:
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in vars(row).items()}


def _fields(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: datetime.fromisoformat(value) if key in _TIMES and value is not None else value
        for key, value in plain.items()
    }
