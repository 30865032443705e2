"""`GroupWriter`: the one thread through which a store is written and its rows are asked for.

What is handed in during one turn of the event loop waits in a queue together. The thread takes all of it at once and
writes it in one transaction (group commit), then reads what was asked for; so reads see every batch that came before
them. What cannot be written at the moment is held and repeated until it can, and everything behind it waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, ClassVar, Final, Literal

from resolute.clock import Clock
from resolute.engines.embedded.sqlite.reads import Query
from resolute.engines.embedded.sqlite.rows import Prepared
from resolute.errors import StoreBroken, StoreError, StoreUnavailable
from resolute.postgres.address import PostgresAddress

log = logging.getLogger("resolute.store")

#: Most batches of one transaction.
GROUP: Final = 1000
#: Pauses between two tries at a group that cannot be written.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0

#: What an error means: try again until it works, this one thing is refused, or nothing can be relied on any more.
Meaning = Literal["repeat", "refused", "broken"]


@dataclass(slots=True)
class Work:
    """A batch to be written, or queries to be answered from one state of the database."""

    done: asyncio.Future[Any]
    batch: list[Prepared] = field(default_factory=list)
    queries: tuple[Query, ...] = ()


Answer = tuple[asyncio.Future[Any], Any, StoreError | None]


class GroupWriter(ABC):
    """Has the database from `start` to `stop`.

    Args:
        store: what names the store in errors.

    Attributes:
        held_since: since when batches are held, None while all is well.
        broke: its result says why nothing can be written any more.
    """

    #: What the database raises; every other exception ends the thread.
    errors: ClassVar[tuple[type[Exception], ...]]
    #: What an operator does so that it can be written again.
    remedy: ClassVar[str]
    #: For how long nothing comes before the database is looked after.
    idle_s: ClassVar[float]

    def __init__(self, store: Path | PostgresAddress, clock: Clock) -> None:
        self.held_since: datetime | None = None
        self._store = store
        self._clock = clock
        self._handed_in: list[Work] = []
        self._queue: SimpleQueue[list[Work] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._ended.add_done_callback(self._refuse_the_rest)
        self.broke: asyncio.Future[StoreError] = self._loop.create_future()
        self._give_up = threading.Event()
        self._closing = False
        self._broken: StoreError | None = None
        self._lost = 0

    async def start(self) -> None:
        """Take the database; raises StoreError."""
        threading.Thread(target=self._run, name="resolute store", daemon=True).start()
        try:
            await asyncio.shield(self._started)
        except asyncio.CancelledError:
            self._give_up.set()  # nobody waits for the store any more
            raise

    def end(self) -> None:
        """Take nothing more, and let go when what was handed in is written."""
        self._closing = True
        self._hand_over()
        self._queue.put(None)

    async def stop(self, patience_s: float) -> None:
        """Wait for the end; raises StoreUnavailable when the rest cannot be written for so long."""
        self.end()
        timer = self._loop.call_later(patience_s, self._give_up.set)
        await asyncio.shield(self._ended)
        timer.cancel()
        if self._lost:
            raise StoreUnavailable(
                f"The store {self._store} was closed while it could not be written: {self._lost} "
                f"batch{'es were' if self._lost > 1 else ' was'} not kept. Nothing in them had been acknowledged. "
                f"{self.remedy[0].upper()}{self.remedy[1:]}, and start again."
            )

    def hand_in(self, batch: list[Prepared], queries: tuple[Query, ...]) -> asyncio.Future[Any]:
        """What becomes of a batch, or what queries find; fails with StoreError."""
        if self._broken is not None:
            raise _anew(self._broken)
        if self._closing:
            raise StoreError(f"The store {self._store} is closed.")
        done: asyncio.Future[Any] = self._loop.create_future()
        if not self._handed_in:  # waking the thread costs more than all else here, so it is done once for a crowd
            self._loop.call_soon(self._hand_over)
        self._handed_in.append(Work(done, batch, queries))
        return done

    def _hand_over(self) -> None:
        if self._handed_in:
            self._queue.put(self._handed_in)
            self._handed_in = []

    def _refuse_the_rest(self, _: asyncio.Future[None]) -> None:
        """Tell those who handed something in while the thread was ending."""
        self._hand_over()
        late, _ended = self._left([])
        _settle((work.done, None, _anew(self._broken)) for work in late if self._broken)

    # What a database does, in the thread

    @abstractmethod
    def _taken(self) -> AbstractContextManager[None]:
        """The database, until it is left; raises StoreError."""

    @abstractmethod
    def _write(self, batches: Sequence[list[Prepared]]) -> None:
        """One transaction."""

    @abstractmethod
    def _answered(self, works: list[Work]) -> list[Answer]:
        """What each has asked for."""

    @abstractmethod
    def _look_after(self) -> bool:
        """See to the database while nothing comes; whether there will be more to see to though nothing is written."""

    @abstractmethod
    def _failed(self, error: Exception) -> tuple[Meaning, StoreError]:
        """End the transaction that failed; what its error means, and how it is told."""

    # From here on in the thread

    def _run(self) -> None:
        """The thread: whatever ends it, everybody who waits for it is told."""
        ended = StoreBroken(f"The thread that writes the store {self._store} has ended.")
        failed: StoreError = ended
        try:
            with self._taken():
                self._tell([(self._started, None, None)])
                self._serve()
        except StoreError as error:
            failed = error
        finally:
            self._broken = self._broken or ended
            left: list[Answer] = [(work.done, None, _anew(self._broken)) for work in self._left([])[0]]
            self._tell([(self._started, None, failed), *left, (self._ended, None, None)])

    def _serve(self) -> None:
        """Do what is handed in until told to stop."""
        is_looked_after = True
        while True:
            try:
                first = self._queue.get(timeout=self.idle_s if is_looked_after else None)
            except Empty:
                is_looked_after = self._look_after()
                continue
            if first is None:
                return
            works, ended = self._left(first, GROUP)
            batches = [work for work in works if work.batch]
            asked = [work for work in works if work.queries]
            written = self._written(batches) if batches else []
            self._tell(written + (self._answered(asked) if asked else []))
            is_looked_after = is_looked_after or bool(batches)
            if ended:
                return

    def _left(self, works: list[Work], limit: float = math.inf) -> tuple[list[Work], bool]:
        """These and what else waits, about so many, and whether nothing comes after them."""
        while len(works) < limit:
            try:
                more = self._queue.get_nowait()
            except Empty:
                break
            if more is None:
                return works, True
            works = works + more
        return works, False

    def _written(self, works: list[Work]) -> list[Answer]:
        """Write batches in one transaction; when one of them is refused, each in its own."""
        _, error = self._try(lambda: self._write([work.batch for work in works]))
        if error is not None and not isinstance(error, StoreUnavailable | StoreBroken) and len(works) > 1:
            return [answer for work in works for answer in self._written([work])]
        if isinstance(error, StoreUnavailable):
            self._lost += len(works)
        return [(work.done, None, None if error is None else _anew(error)) for work in works]

    def _try(self, do: Callable[[], Any]) -> tuple[Any, StoreError | None]:
        """Do something until it works or never can."""
        pause_s = FIRST_PAUSE_S
        while self._broken is None:
            try:
                value = do()
            except StoreBroken as error:
                self._broke(error)
            except self.errors as error:
                meaning, told = self._failed(error)
                if meaning == "refused":
                    return None, told
                if meaning == "broken":
                    self._broke(told)
                    continue
                self._held(told)
                if self._give_up.wait(pause_s):
                    self._broken = told
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            else:
                if self.held_since is not None:
                    log.warning("the store %s can be written again; it was held since %s", self._store, self.held_since)
                    self.held_since = None
                return value, None
        return None, _anew(self._broken)

    def _broke(self, error: StoreError) -> None:
        log.critical("%s", error)
        self._broken = error
        self._tell([(self.broke, _anew(error), None)])

    def _held(self, error: StoreError) -> None:
        if self.held_since is None:
            self.held_since = self._clock.now()
            log.warning("%s Everything waits and is repeated until it can: %s", error, self.remedy)

    def _tell(self, answers: list[Answer]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:
            log.debug("the event loop of %s ended before its store", self._store)


def _settle(answers: Iterable[Answer]) -> None:
    for done, value, error in answers:
        if done.done():  # who waited for it has been cancelled
            continue
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)


def _anew(error: StoreError) -> StoreError:
    """The error once more: each that waits gets its own, for each adds its traceback."""
    return type(error)(str(error))
