"""What steps that are no nodes put out under their key: the answer of a gate, the results of many."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

GateOutcome = Literal["approved", "rejected", "timed_out"]


class GateAnswer(BaseModel):
    """How a gate was passed.

    Attributes:
        by: who answered, as they were named; "" for nobody.
        at: when the answer was accepted, or when the time was over.
        data: what came with the answer.
    """

    outcome: GateOutcome
    by: str = ""
    at: datetime
    reason: str = ""
    data: Any = None

    @property
    def approved(self) -> bool:
        return self.outcome == "approved"


class ItemFault(BaseModel):
    """Why one of many did not succeed.

    Attributes:
        index: its place in the list, from 0.
        item: the item, or the input of the child.
        key: the node or step that failed.
    """

    index: int
    item: Any = None
    key: str
    error: str


class EachResult(BaseModel):
    """What a body did for the items of a list.

    Attributes:
        results: one for each item, in the list's order: the outputs of the body by key; what an item that failed
            had put out by then.
        errors: the items that failed, in the list's order.
        skipped: indexes of items that were not begun since another had failed (`keep_going=False`).
    """

    results: list[dict[str, Any]] = Field(default_factory=list)
    errors: list[ItemFault] = Field(default_factory=list)
    skipped: list[int] = Field(default_factory=list)


class ChildrenResult(BaseModel):
    """What child runs came to.

    Attributes:
        run_ids: their ids, in the order of the inputs.
        results: what each returned, None where it failed.
        errors: the children that did not succeed.
    """

    run_ids: list[str] = Field(default_factory=list)
    results: list[Any] = Field(default_factory=list)
    errors: list[ItemFault] = Field(default_factory=list)
