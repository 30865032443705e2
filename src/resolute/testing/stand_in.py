"""Stand-ins: activities in the place of a flow's own. They note each call, and fail or answer as the script says.

To the engine a stand-in is the activity itself: name, inputs, output type, retries and time limit are its own.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from resolute.context import current
from resolute.ledger.intent import Intent, PagingActivity, Preparation
from resolute.ledger.row import Row
from resolute.model.activity import Activity, Node, Parameter
from resolute.model.pages import PaginatedActivity
from resolute.model.reference import MissingValue, Ref, Scope, resolve
from resolute.model.refs import SecretRef
from resolute.testing.script import Call, Script, ScriptError
from resolute.testing.virtual_time import VirtualLoop, run_apart

#: Stands before the key of a node in the name of the provider instance that fails for it.
FAILS_FOR = "~"


def stand_in(node: Node[Any], script: Script) -> Node[Any]:
    """The node with a stand-in for its activity."""
    real = node.activity
    if node.key in script.mocks:
        arguments = node.arguments
        if real.is_paging:  # what is missing in its content is marked, as for the page itself
            marked = {name: Marked(value) for name, value in arguments.items() if name in real.content_fields}
            arguments = {**arguments, **marked}
        return replace(node, activity=StandIn(real, node, script, mocked=True), arguments=arguments)
    if isinstance(real, PagingActivity):
        instance = node.instance
        if node.key in script.failures:
            instance = f"{instance or ''}{FAILS_FOR}{node.key}"
        return replace(node, activity=PageStandIn(real, node.key, script), instance=instance)
    if isinstance(real, PaginatedActivity):
        return replace(node, activity=PaginatedStandIn(real, node, script))
    return replace(node, activity=StandIn(real, node, script))


def secret_name(name: str) -> str:
    """How a secret is shown."""
    return f"secret({name})"


class StandIn(Activity[Any, Any]):
    """In the place of an ordinary activity, or of any that is mocked.

    Attributes:
        real: the activity itself.
    """

    def __init__(self, real: Activity[Any, Any], node: Node[Any], script: Script, *, mocked: bool = False) -> None:
        self.real = real
        self._node = node
        self._script = script
        self._mocked = mocked

        async def call(**inputs: Any) -> Any:
            return await self._call(inputs)

        super().__init__(call, name=real.name, retry=real.retry, timeout=real.timeout)
        self.provider = None if mocked else real.provider

    @cached_property
    def signature(self) -> inspect.Signature:
        return self.real.signature

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        return self.real.parameters

    @cached_property
    def returns(self) -> Any:
        return self.real.returns

    def validate_inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        checked = {name: value for name, value in inputs.items() if name not in self.real.content_fields}
        return {**inputs, **super().validate_inputs(checked)}

    async def _call(self, inputs: dict[str, Any]) -> Any:
        attempt, script = current(), self._script
        shown = {name: _shown(self._node.arguments.get(name), value) for name, value in _copied(inputs).items()}
        call = Call(attempt.key, attempt.run_id, attempt.position, attempt.attempt, shown)
        script.note(call)
        token = (call.idempotency_key, call.attempt)
        failure = script.failures.get(attempt.key)
        if failure is not None and failure.strikes(token):
            raise failure.error(is_page=False)
        if self._mocked:
            try:
                return await script.mocks[attempt.key].answer(token, inputs, self.real)
            except ScriptError as fault:
                raise script.went_wrong(fault) from fault
        loop = asyncio.get_running_loop()
        with loop.outside() if isinstance(loop, VirtualLoop) else nullcontext():
            if self.real.is_async:
                return await self.real.fn(**inputs)
            return run_apart(lambda: self.real.fn(**inputs))


class PageStandIn(PagingActivity[Any, Any]):
    """In the place of an activity that pages: its events go through the incident log as they are."""

    def __init__(self, real: PagingActivity[Any, Any], key: str, script: Script) -> None:
        super().__init__(real.fn, name=real.name, retry=real.retry, timeout=real.timeout)
        self.content_fields = real.content_fields
        self.provider = real.provider
        self._real = real
        self._key = key
        self._script = script

    def prepare(self, inputs: Mapping[str, Any], preparation: Preparation) -> Intent:
        """The intent of the activity itself."""
        secrets = {name: secret_name(secret) for name, secret in preparation.secrets.items()}
        shown = {**_copied(inputs), **secrets}
        self._script.note(Call(self._key, preparation.run_id, preparation.position, 1, shown, is_page=True))
        return self._real.prepare(inputs, preparation)

    def output_of(self, row: Row) -> Any:
        """The output of the activity itself."""
        return self._real.output_of(row)


class PaginatedStandIn(PaginatedActivity[Any, Any]):
    """In the place of a paginated activity: each page is a call."""

    def __init__(self, real: PaginatedActivity[Any, Any], node: Node[Any], script: Script) -> None:
        super().__init__(real.fn, name=real.name, retry=real.retry, timeout=real.timeout, max_pages=real.max_pages)
        self.one_page = StandIn(real.one_page, node, script)
        self.provider = real.provider


@dataclass(frozen=True, eq=False, repr=False)
class Marked(Ref):
    """A value in whose place a mark stands where it leads nowhere."""

    value: Any

    def held(self) -> tuple[object, ...]:
        return (self.value,)

    def resolve(self, scope: Scope) -> Any:
        return resolve(self.value, scope, _mark)

    def __repr__(self) -> str:
        return repr(self.value)


def _mark(ref: Ref, _: MissingValue) -> str:
    return f"<missing {repr(ref).partition(chr(34))[2].partition(chr(34))[0] or repr(ref)}>"


def _copied(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs as they are now: a function may change what it is given."""
    copied = {}
    for name, value in inputs.items():
        try:
            copied[name] = copy.deepcopy(value)
        except Exception:  # a class of the author's may refuse; then it is shown as it will be
            copied[name] = value
    return copied


def _shown(written: Any, value: Any) -> Any:
    """An input with the name of each secret in its place.

    Args:
        written: what stands in the flow.
    """
    if isinstance(written, SecretRef):
        return secret_name(written.name)
    if isinstance(written, Mapping) and isinstance(value, Mapping):
        return {key: _shown(written.get(key), inner) for key, inner in value.items()}
    if isinstance(written, list | tuple) and type(value) in (list, tuple) and len(written) == len(value):
        return type(value)(_shown(was, inner) for was, inner in zip(written, value, strict=True))
    if isinstance(written, BaseModel) and isinstance(value, BaseModel):
        inner = {name: _shown(getattr(written, name, None), held) for name, held in vars(value).items()}
        return value.model_copy(update=inner)
    if is_dataclass(written) and is_dataclass(value) and not isinstance(value, type):
        for held in fields(value):
            name = held.name
            object.__setattr__(value, name, _shown(getattr(written, name, None), getattr(value, name)))
    return value
