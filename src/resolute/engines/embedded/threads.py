"""Where plain functions run: a daemon thread for each attempt, so that one that hangs holds nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any, Protocol


class Threads(Protocol):
    """Runs a plain function beside the event loop."""

    async def run(self, function: Callable[[], Any], name: str) -> Any:
        """What the function returns or raises."""
        ...


class ThreadPerAttempt:
    """A daemon thread for each call; it keeps the caller's context variables."""

    async def run(self, function: Callable[[], Any], name: str) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def finish(value: Any, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        def work() -> None:
            value: Any = None
            failure: BaseException | None = None
            try:
                value = context.run(function)
            except StopIteration as error:  # a future refuses it
                failure = RuntimeError(f"StopIteration: {error}")
            except BaseException as error:  # whatever it is, it belongs to the attempt and not to this thread
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, value, failure)

        threading.Thread(target=work, name=f"resolute {name}", daemon=True).start()
        return await done


class Inline:
    """Calls the function where it stands: for simulations, where every history must repeat exactly."""

    async def run(self, function: Callable[[], Any], name: str) -> Any:
        return function()
