"""`current()`: what an activity may know about the attempt that it is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from resolute.errors import NodeMisuse
from resolute.jsontypes import JsonValue
from resolute.model.activity import set_misuse_probe
from resolute.model.codec import from_text, to_plain, to_text

_log = logging.getLogger("resolute.activity")


class Memory(MutableMapping[str, JsonValue]):
    """A small durable key/value store of the flow, as it was when the attempt began.

    What is written becomes visible with the node's output, or not at all. Values are JSON.
    """

    def __init__(self, stored: Mapping[str, str]) -> None:
        self._stored = stored
        self.writes: dict[str, str | None] = {}

    def __getitem__(self, key: str) -> JsonValue:
        text = self.writes[key] if key in self.writes else self._stored.get(key)
        if text is None:
            raise KeyError(key)
        value: JsonValue = from_text(text)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"memory keys are text, not {type(key).__name__}")
        self.writes[key] = to_text(to_plain(value))

    def __delitem__(self, key: str) -> None:
        self[key]
        self.writes[key] = None

    def __iter__(self) -> Iterator[str]:
        keys = [key for key in self._stored if self.writes.get(key, "") is not None]
        keys.extend(key for key, text in self.writes.items() if text is not None and key not in self._stored)
        return iter(keys)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class LedgerView:
    """The incident log as it was when the attempt began."""

    open_keys: frozenset[str]

    def is_open(self, dedup_key: str) -> bool:
        """Whether an alert with this key is, or may be, open at the paging service.

        True from the moment a trigger is pending, in flight, accepted or of unknown outcome, until a
        later resolve is accepted.
        """
        return dedup_key in self.open_keys


@dataclass(frozen=True)
class Attempt:
    """The running attempt.

    Attributes:
        key, position: the node's name, and its place in the run.
        attempt: number of this attempt, from 1.
        idempotency_key: the same for every attempt of this node in this run; hand it to what can use it.
        repeated: an earlier attempt was begun and may have had its effect.
        memory: the flow's durable key/value store.
        ledger: the incident log.
        heartbeat_details: what an earlier attempt of this node said last with `heartbeat(details)`.
    """

    run_id: str
    flow: str
    key: str
    position: str
    attempt: int
    repeated: bool
    memory: Memory
    ledger: LedgerView
    providers: Mapping[tuple[str, str], Any]
    instance: str
    heartbeat_details: JsonValue = None
    beat: Callable[[Any], None] = field(default=lambda details: None, repr=False)

    def heartbeat(self, details: Any = None) -> None:
        """Say that the attempt lives, and how far it has come; works in threads, too.

        Args:
            details: JSON values; shown by `resolute runs show`, and handed to the next attempt as
                `heartbeat_details` when this one fails or is lost with its worker.
        """
        self.beat(details)

    @cached_property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that names run and node."""
        return logging.LoggerAdapter(_log, {"run": self.run_id, "node": self.position})

    @property
    def idempotency_key(self) -> str:
        return f"{self.run_id}/{self.position}"

    def provider(self, kind: str) -> Any:
        """The provider instance that this node goes through."""
        found = self.providers.get((kind, self.instance))
        if found is None:
            via = f' with name="{self.instance}"' if self.instance else ""
            raise NodeMisuse(f'Node "{self.key}" needs the provider "{kind}"{via}, which the worker was not given.')
        return found


_attempt: ContextVar[Attempt | None] = ContextVar("resolute_attempt", default=None)
_deciding: ContextVar[str | None] = ContextVar("resolute_deciding", default=None)


def current() -> Attempt:
    """The attempt that is running; only inside an activity."""
    attempt = _attempt.get()
    if attempt is None:
        raise NodeMisuse(
            "current() was called outside an activity. Call it inside one; a predicate has its state instead."
        )
    return attempt


def set_current(attempt: Attempt | None) -> None:
    """Make this the running attempt in the calling context."""
    _attempt.set(attempt)


class deciding:
    """While a predicate is evaluated: making a node there is reported as the mistake it is."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        self._token = _deciding.set(self._key)

    def __exit__(self, *_: object) -> None:
        _deciding.reset(self._token)


def _misuse() -> str | None:
    attempt = _attempt.get()
    if attempt is not None:
        return f'inside the activity of node "{attempt.key}"'
    key = _deciding.get()
    return f'inside the predicate of "{key}"' if key is not None else None


set_misuse_probe(_misuse)
