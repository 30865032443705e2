"""`Book`: what the activities of a test were called with, and what the test lets them do."""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from resolute import current
from resolute.clock import Clock
from resolute.jsontypes import JsonValue


@dataclass(frozen=True)
class Call:
    """One attempt, as its activity saw it.

    Attributes:
        given: the input.
        details: what an earlier attempt had said last with `heartbeat(details)`.
    """

    run_id: str
    position: str
    key: str
    attempt: int
    repeated: bool
    idempotency_key: str
    given: Any
    details: JsonValue
    at: datetime


#: What an attempt does: it raises an exception, calls a function with its `Call`, or returns any other value.
Behaviour = Any


class Book:
    """Outlives every worker of a machine: it stands for the world outside, in which effects stay."""

    def __init__(self, clock: Clock) -> None:
        self.calls: list[Call] = []
        self.finished: list[str] = []
        self.now = clock.now
        self._plans: dict[str, deque[Behaviour]] = defaultdict(deque)
        self._always: dict[str, Behaviour] = {}

    def will(self, key: str, *behaviours: Behaviour) -> None:
        """Let the next attempts of a node do this, one each; those after them return what they were given."""
        self._plans[key].extend(behaviours)

    def always(self, key: str, behaviour: Behaviour) -> None:
        """Let every attempt of a node do this for which nothing else was said."""
        self._always[key] = behaviour

    def note(self, given: Any) -> Call:
        """Write down the running attempt."""
        own = current()
        call = Call(
            own.run_id,
            own.position,
            own.key,
            own.attempt,
            own.repeated,
            own.idempotency_key,
            given,
            own.heartbeat_details,
            self.now(),
        )
        self.calls.append(call)
        return call

    def plan(self, call: Call) -> Behaviour:
        """What this attempt does."""
        plan = self._plans[call.key]
        return plan.popleft() if plan else self._always.get(call.key, _by_default(call))

    async def perform(self, given: Any) -> Any:
        """Write down the running attempt and do what it does."""
        call = self.note(given)
        behaviour = self.plan(call)
        if isinstance(behaviour, BaseException):
            raise behaviour
        value = behaviour(call) if callable(behaviour) else behaviour
        if inspect.isawaitable(value):
            value = await value
        self.finished.append(call.position)
        return value

    def attempted(self) -> list[str]:
        """The keys of all attempts, in order."""
        return [call.key for call in self.calls]

    def positions(self) -> list[str]:
        """The positions of all attempts, in order."""
        return [call.position for call in self.calls]

    def given(self, key: str) -> list[Any]:
        """What the attempts of a node were given, in order."""
        return [call.given for call in self.of(key)]

    def of(self, key: str) -> list[Call]:
        """The attempts of a node."""
        return [call for call in self.calls if call.key == key]


async def hang(call: Call) -> None:
    """A behaviour: never end."""
    await asyncio.Event().wait()


def after(seconds: float, behaviour: Behaviour = None) -> Callable[[Call], Awaitable[Any]]:
    """A behaviour: take this long first."""

    async def wait(call: Call) -> Any:
        await asyncio.sleep(seconds)
        if isinstance(behaviour, BaseException):
            raise behaviour
        return _by_default(call) if behaviour is None else behaviour

    return wait


def fails_for(*given: Any) -> Callable[[Call], Any]:
    """A behaviour: raise for these inputs."""

    def perform(call: Call) -> Any:
        if call.given in given:
            raise ValueError(f"no {call.given}")
        return call.given

    return perform


def _by_default(call: Call) -> Any:
    return call.key if call.given is None else call.given
