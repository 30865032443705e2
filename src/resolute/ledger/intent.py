"""`Intent`: what a paging node means to send, prepared without I/O; `PagingActivity` prepares it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

from resolute.ledger.row import Action, Row
from resolute.model.activity import Activity

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Intent:
    """A send that has been decided.

    Attributes:
        event: the mended request body without routing key.
        remarks: what was mended, a sentence each.
        wait_s: seconds after which sending stops, None for the node's own retry deadline.
        refusal: why it must not be sent at all; its row is `rejected` without an attempt.
    """

    action: Action
    dedup_key: str
    title: str
    event: dict[str, Any]
    key_secret: str
    urgency: str = ""
    body: str = ""
    remarks: tuple[str, ...] = ()
    wait_s: float | None = None
    refusal: str = ""


@dataclass(frozen=True)
class Preparation:
    """What an intent is prepared from, beside the inputs."""

    run_id: str
    position: str
    flow: str
    instance: str
    remarks: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)  #: parameter → name of its secret

    @property
    def idempotency_key(self) -> str:
        return f"{self.run_id}/{self.position}"


@dataclass(frozen=True)
class SendAnswer:
    """What an accepted event was answered."""

    message: str
    status: str = "success"


class PagingService(Protocol):
    """A provider instance that can send prepared events and look for what became of them."""

    @property
    def host(self) -> str:
        """The events host, part of the lane."""
        ...

    def routing_key(self) -> str | None:
        """The instance's own routing key, for events that name none."""
        ...

    async def send(self, event: Mapping[str, Any], routing_key: str) -> SendAnswer:
        """Send one event.

        Raises:
            ProviderRejected, ProviderUnavailable, ProviderOutcomeUnknown: as their names say.
        """
        ...

    async def was_received(self, dedup_key: str, since: datetime, until: datetime, *, sent: datetime) -> bool | None:
        """Whether an event with this key arrived in that time; None when there is no way to ask.

        Args:
            sent: when it was sent first; what was over before cannot come of it.

        Raises:
            ProviderError: the look-up failed.
        """
        ...

    def dated(self, event: Mapping[str, Any], since: datetime, late: timedelta) -> dict[str, Any]:
        """The trigger event with its time, and a summary that says so when it is late."""
        ...


class PagingActivity(Activity[P, R]):
    """An activity whose attempts are sends of the incident log."""

    @property
    def is_paging(self) -> bool:
        return True

    @abstractmethod
    def prepare(self, inputs: Mapping[str, Any], preparation: Preparation) -> Intent:
        """What is to be sent. No I/O; no content is refused.

        Raises:
            InputError: there is no dedup key or routing key to send it under.
        """

    @abstractmethod
    def output_of(self, row: Row) -> R:
        """The node's output for a row that settled as a success."""
