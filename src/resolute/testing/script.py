"""`Script`: what a test has said about the nodes of its flows, and what these nodes were called with.

An attempt that was lost with its worker and is made again is the same call: it gets the same answer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from resolute.errors import ActivityError, ProviderUnavailable, ResoluteError
from resolute.model.activity import Activity, Node
from resolute.model.codec import describe, rebuild
from resolute.model.declared import name_of
from resolute.model.reference import MISSING

#: Known keys that an error lists.
KEYS_TOLD: Final = 12


class ScriptError(ResoluteError):
    """What a test has said does not fit its flow: an unknown key, a mock of the wrong type, one that has run out."""


@dataclass(frozen=True)
class Call:
    """One call of a node.

    Attributes:
        position: the node's place in its run.
        attempt: number of the attempt, from 1; a page is decided once, however often it is sent.
        inputs: as the function got them; secrets read `secret(NAME)`.
        is_page: whether it is an event that goes through the incident log.
    """

    key: str
    run_id: str
    position: str
    attempt: int
    inputs: dict[str, Any]
    is_page: bool = False

    @property
    def idempotency_key(self) -> str:
        return f"{self.run_id}/{self.position}"


#: What tells one call from another: idempotency key and attempt.
Token = tuple[str, int]


class Mock:
    """What stands for a node's function: a value, a function of its inputs, or a list of these, one for each call."""

    def __init__(self, key: str, value: Any, each: Sequence[Any] | None) -> None:
        self.key = key
        self._value = value
        self._each = None if each is None else list(each)
        self._turns: dict[Token, int] = {}

    def check(self, activity: Activity[Any, Any]) -> None:
        """Raise ScriptError when a value does not fit what the activity returns."""
        for value in (self._value,) if self._each is None else self._each:
            if not callable(value) and not isinstance(value, BaseException):
                self._fitted(value, activity)

    async def answer(self, token: Token, inputs: dict[str, Any], activity: Activity[Any, Any]) -> Any:
        """What the node puts out for this call; raises what the test wants raised, and ScriptError."""
        value = self._of(token)
        if isinstance(value, BaseException):
            raise value.with_traceback(None)
        if inspect.isclass(value) and issubclass(value, BaseException):
            raise value
        if callable(value):
            value = value.fn if isinstance(value, Activity) else value
            self._check_call(value, inputs)
            value = value(**inputs)
            if inspect.isawaitable(value):
                value = await value
        return self._fitted(value, activity)

    def _of(self, token: Token) -> Any:
        if self._each is None:
            return self._value
        turn = self._turns.setdefault(token, len(self._turns))
        if turn >= len(self._each):
            raise ScriptError(
                f'The mock of "{self.key}" was given {_count(self._each, "value")} with each=[...], and the node is '
                f'called once more. Give one for each call, or a function: tester.mock("{self.key}", lambda ...: ...).'
            )
        return self._each[turn]

    def _check_call(self, function: Callable[..., Any], inputs: dict[str, Any]) -> None:
        try:
            inspect.signature(function).bind(**inputs)
        except TypeError as error:
            names = ", ".join(inputs) or "nothing"
            raise ScriptError(
                f'The mock of "{self.key}" cannot be called with the node\'s inputs ({names}): {error}. '
                "It gets them by name: take them all, or **inputs."
            ) from error
        except ValueError:  # a built-in that does not tell
            return

    def _fitted(self, value: Any, activity: Activity[Any, Any]) -> Any:
        adapter = activity.output_adapter
        if isinstance(value, Node):
            raise ScriptError(f'The mock of "{self.key}" is a node. Give the value that the node shall put out.')
        if adapter is None:
            return value
        try:
            return rebuild(value, adapter)
        except ValidationError as error:
            raise ScriptError(
                f'The mock of "{self.key}" does not fit what {activity.name} returns, {name_of(activity.returns)}: '
                f"{describe(error)}. Give such a value, or a dict of its fields."
            ) from error


class Failure:
    """A failure of a node, for the first calls or for all."""

    def __init__(self, key: str, error: BaseException | type[BaseException] | str, times: int | None) -> None:
        self.key = key
        self._error = error
        self._times = times
        self._struck: set[Token] = set()
        self._requests = 0

    def strikes(self, token: Token | None = None) -> bool:
        """Whether this call fails, or without a token the next request of a page."""
        if token is None:
            self._requests += 1
            token = ("request", self._requests)
        if self._times is None:
            return True
        if len(self._struck) < self._times:
            self._struck.add(token)
        return token in self._struck

    def error(self, *, is_page: bool) -> BaseException:
        """What is raised; a text is an error that may go away: for a page, that the service is out of reach."""
        if isinstance(self._error, str):
            return ProviderUnavailable(self._error) if is_page else ActivityError(self._error)
        return self._error() if inspect.isclass(self._error) else self._error.with_traceback(None)


class Script:
    """The mocks and failures of a test by key, and the calls so far.

    Attributes:
        fault: the first fault of the script itself that came to light in a run.
    """

    def __init__(self) -> None:
        self.mocks: dict[str, Mock] = {}
        self.failures: dict[str, Failure] = {}
        self.calls: list[Call] = []
        self.fault: ScriptError | None = None

    def mock(self, key: str, value: Any, each: Sequence[Any] | None) -> None:
        """Let a node put out this; replaces what was said about it before."""
        if (value is MISSING) == (each is None):
            raise ScriptError(f'tester.mock("{key}", ...) takes a value or a function, or else each=[...].')
        self.mocks[key] = Mock(key, value, each)

    def fail(self, key: str, error: BaseException | type[BaseException] | str, times: int | None) -> None:
        """Let a node fail; replaces what was said about its failures before."""
        is_error = isinstance(error, str | BaseException) or (
            inspect.isclass(error) and issubclass(error, BaseException)
        )
        if not is_error or (times is not None and times < 1):
            raise ScriptError(
                f'tester.fail("{key}", {error!r}, times={times!r}) takes an exception or a text, and times from 1.'
            )
        self.failures[key] = Failure(key, error, times)

    def note(self, call: Call) -> None:
        """Remember a call."""
        self.calls.append(call)

    def went_wrong(self, fault: ScriptError) -> ActivityError:
        """Keep a fault of the script for the test; returns what ends the attempt."""
        self.fault = self.fault or fault
        return ActivityError(str(fault), permanent=True)

    def check(self, nodes: Iterable[Node[Any]], known: Iterable[str]) -> None:
        """Raise ScriptError for a key that no flow has, and for a mock that does not fit its node."""
        for what, keys in (("mock", self.mocks), ("fail", self.failures)):
            for key in keys:
                check_key(what, key, known)
        for node in nodes:
            if node.key in self.mocks:
                self.mocks[node.key].check(node.activity)


def check_key(what: str, key: str, known: Iterable[str], kind: str = "node") -> None:
    """Raise ScriptError unless the key is known."""
    keys = list(dict.fromkeys(known))
    if key in keys:
        return
    near = get_close_matches(key, keys, 1)
    hint = f' Did you mean "{near[0]}"?' if near else ""
    told = ", ".join(f'"{name}"' for name in keys[:KEYS_TOLD]) or "none"
    more = f" and {len(keys) - KEYS_TOLD} more" if len(keys) > KEYS_TOLD else ""
    raise ScriptError(f'tester.{what}("{key}") names no {kind} of the flow.{hint} Its {kind}s: {told}{more}.')


def _count(values: Sequence[Any], noun: str) -> str:
    return f"{len(values)} {noun}{'' if len(values) == 1 else 's'}"
