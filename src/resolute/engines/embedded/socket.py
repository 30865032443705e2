"""The owner's Unix socket: other processes ask it to start, show and end runs. JSON lines, one call a connection.

A call is `{"method": ..., "params": {...}}`; its answer is `{"result": ...}` or `{"error": {"type", "message"}}`.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import os
import stat
import tempfile
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from resolute import errors
from resolute.engine import RunView
from resolute.errors import EngineError, InputError, ResoluteError, StoreError
from resolute.jsontypes import JsonValue
from resolute.model.codec import NotJournalable, describe, from_text, to_plain, to_text

log = logging.getLogger("resolute.socket")

#: Longest request or answer.
LINE_BYTES: Final = 32 * 1024 * 1024
#: Linux takes no longer path for a socket.
PATH_BYTES: Final = 107
#: How long a caller may take to say what it wants.
REQUEST_S: Final = 10.0
#: How long calls that do something may take when the owner stops.
LAST_CALLS_S: Final = 5.0

_view: TypeAdapter[RunView] = TypeAdapter(RunView)

Handler = Callable[..., Awaitable[JsonValue]]


class OwnerGone(StoreError):
    """The process that owned the store ended during a call; the call may be made again."""


class OwnerSilent(OwnerGone):
    """Nobody listens where the owner said it does."""


def socket_path(store: Path) -> Path:
    """Where the owner of a store listens: a short path in a folder that only this user can enter.

    Raises:
        StoreError: no such folder can be had.
    """
    name = hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:16]
    refusal = "No folder for temporary files has a path that is short enough for a socket. Set XDG_RUNTIME_DIR to one."
    for place in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")):
        folder = Path(place) / f"resolute-{os.getuid()}"
        path = folder / f"{name}.sock"
        if len(os.fsencode(path)) <= PATH_BYTES:
            refusal = _keep_private(folder)
            if not refusal:
                return path
    raise StoreError(refusal)


def _keep_private(folder: Path) -> str:
    """Make the folder, for this user alone, if there is none; "" when it is so, else what is wrong with it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        return f"The folder {folder} for the socket cannot be made: {error.strerror}. Set XDG_RUNTIME_DIR to another."
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return f"{folder} must be a folder of this user with mode 0700. Remove it, or set XDG_RUNTIME_DIR."
    return ""


class SocketServer:
    """Answers calls with an engine's methods.

    Args:
        handlers: method name → coroutine function that takes the call's parameters.
        waiting: the methods that only wait: such a call ends when its caller goes away. Every other one is carried
            out once it was understood.
    """

    def __init__(
        self, path: Path, handlers: Mapping[str, Handler], *, waiting: Collection[str] = frozenset({"result"})
    ) -> None:
        self.path = path
        self._handlers = handlers
        self._waiting = waiting
        self._server: asyncio.Server | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._doing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen; raises StoreError."""
        try:
            self.path.unlink(missing_ok=True)  # the lock is ours, so whoever listened here has ended
            self._server = await asyncio.start_unix_server(self._accept, self.path, limit=LINE_BYTES)
            self.path.chmod(0o600)
        except OSError as error:
            raise StoreError(
                f"The socket {self.path} cannot be made: {error}. Set XDG_RUNTIME_DIR to another folder."
            ) from error

    async def stop(self) -> None:
        """Take no more calls; what was begun for a caller is finished first."""
        if self._server is not None:
            self._server.close()
            if self._doing:
                await asyncio.wait(self._doing, timeout=LAST_CALLS_S)
            for call in list(self._calls):
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            await self._server.wait_closed()
        self.path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        try:
            answer = await self._hear(reader, task)
            if answer is not None:
                writer.write(line_of(answer))
                await writer.drain()
        except (OSError, TimeoutError) as error:
            log.info("a caller went away: %s", error)
        except asyncio.CancelledError:
            log.debug("a call was ended with the owner")
        finally:
            self._calls.discard(task)
            self._doing.discard(task)
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, task: asyncio.Task[None]) -> dict[str, Any] | None:
        """The answer to a call; None for a caller that went away."""
        try:
            async with asyncio.timeout(REQUEST_S):
                line = await reader.readline()
        except ValueError:
            return failure(EngineError(f"The call was longer than {LINE_BYTES:,} bytes. Give the run less input."))
        if not line.endswith(b"\n"):
            return None
        try:
            method, answer = answering(self._handlers, line.decode("ascii", "replace"))
        except EngineError as error:
            return failure(error)
        if method not in self._waiting:
            self._doing.add(task)
            return await answer
        return await self._wait(reader, asyncio.create_task(answer))

    async def _wait(self, reader: asyncio.StreamReader, answer: asyncio.Task[dict[str, Any]]) -> dict[str, Any] | None:
        gone = asyncio.create_task(reader.read(1))
        gone.add_done_callback(lambda task: task.cancelled() or task.exception())  # a reset is a way to go, too
        try:
            await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else None
        finally:
            gone.cancel()
            answer.cancel()


def answering(handlers: Mapping[str, Handler], text: str) -> tuple[str, Coroutine[Any, Any, dict[str, Any]]]:
    """The method that a call names, and what makes the answer to it; raises EngineError for what is no call."""
    try:
        call = from_text(text)
        method, params = call["method"], call.get("params", {})
        handler = handlers[method]
        inspect.signature(handler).bind(**params)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        known = ", ".join(handlers)
        reason = f"The call was not understood ({type(error).__name__}: {error})."
        raise EngineError(f"{reason} Expected a line of JSON that names a method of: {known}.") from error
    return method, _do(method, handler, params)


async def _do(method: str, handler: Handler, params: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": await handler(**params)}
    except ValidationError as error:
        return failure(EngineError(f"The call of {method} was not understood: {describe(error)}."))
    except (ResoluteError, TimeoutError) as error:
        return failure(error)
    except Exception as error:  # a fault here is the caller's to know of and must not cost the owner its socket
        log.exception("the call of %s failed in an unforeseen way", method)
        return failure(EngineError(f"The owner failed in an unforeseen way: {type(error).__name__}: {error}."))


def line_of(message: dict[str, Any]) -> bytes:
    """A call or an answer as a line of ASCII."""
    return to_text(message).encode("ascii") + b"\n"


def failure(error: Exception) -> dict[str, Any]:
    """The answer that says what went wrong."""
    return {"error": {"type": type(error).__name__, "message": str(error)}}


async def call(path: Path, method: str, params: Mapping[str, Any]) -> Any:
    """What the owner answers.

    Raises:
        ResoluteError: what the owner raised.
        InputError: the call is too long, or holds what JSON cannot.
        OwnerGone: it went away before it answered.
    """
    line = call_text(method, params)
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=LINE_BYTES)
    except OSError as error:
        raise OwnerSilent(f"The owner of the store does not answer on {path}: {error}.") from error
    try:
        writer.write(line)
        await writer.drain()
        found = await reader.readline()
        answer = from_text(found.decode("ascii")) if found.endswith(b"\n") else {}
    except (OSError, ValueError) as error:
        raise OwnerGone(f"The owner of the store went away during the call: {error}.") from error
    finally:
        writer.close()
    return result_of(answer)


def call_text(method: str, params: Mapping[str, Any]) -> bytes:
    """A call as a line of ASCII; raises InputError when it is too long, or holds what JSON cannot."""
    try:
        line = line_of({"method": method, "params": dict(params)})
    except NotJournalable as error:
        raise InputError(f"The input cannot be handed to the owner of the store: {error}. Give JSON values.") from error
    if len(line) > LINE_BYTES:
        raise InputError(f"The input has {len(line):,} bytes, expected {LINE_BYTES:,} at most. Give the run less.")
    return line


def result_of(answer: Mapping[str, Any]) -> Any:
    """What an answer holds; raises what the owner raised."""
    if "error" in answer:
        raise _error(answer["error"]["type"], answer["error"]["message"])
    if "result" not in answer:
        raise OwnerGone("The owner of the store went away before it answered.")
    return answer["result"]


def _error(name: str, message: str) -> Exception:
    if name == "TimeoutError":
        return TimeoutError(message)
    kind = getattr(errors, name, EngineError)
    if not (isinstance(kind, type) and issubclass(kind, ResoluteError)) or kind in (errors.FlowError, errors.RunFailed):
        kind = EngineError
    made: Exception = kind(message)
    return made


def view_to_json(view: RunView) -> JsonValue:
    """A run as JSON values, times in ISO 8601."""
    plain: JsonValue = to_plain(view, _view)
    return plain


def view_from_json(value: Any) -> RunView:
    """The run that `view_to_json` wrote down."""
    return _view.validate_python(value, strict=False)
