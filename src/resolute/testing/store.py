"""`WatchedStore`: a store in memory that tells what was written, and at whose batch the machine can be made to die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from resolute.engines.embedded.memory import MemoryStore, Tables
from resolute.engines.embedded.store import Op

#: Whether a batch is lost with its process, or durable though nobody has heard of it.
Side = Literal["before", "after"]


@dataclass(frozen=True)
class Death:
    """The end of a process at one batch.

    Attributes:
        boundary: the number of the batch, counted by what the journal has committed.
        side: "before" it is durable, or "after" that and before anybody has heard of it.
        struck: done once it has come, with the batch.
    """

    boundary: int
    side: Side
    struck: asyncio.Future[Sequence[Op]]


class WatchedStore(MemoryStore):
    """One opening of the tables.

    Args:
        watch: called with each batch once it is durable.
        death: when this process dies, None for never.
    """

    def __init__(self, tables: Tables, watch: Callable[[Sequence[Op]], None], death: Death | None = None) -> None:
        super().__init__(tables)
        self._watch = watch
        self._death = death

    async def commit(self, batch: Sequence[Op]) -> None:
        death = self._death
        strikes = death is not None and death.boundary == self.tables.commits + 1 and not death.struck.done()
        if death is not None and strikes and death.side == "before":
            await self._die(death, batch)
        await super().commit(batch)
        if death is not None and strikes:
            await self._die(death, batch)
        self._watch(batch)

    async def _die(self, death: Death, batch: Sequence[Op]) -> None:
        """Nothing returns from here; what others hand in from now on is lost."""
        self.crash()
        death.struck.set_result(list(batch))
        await asyncio.get_running_loop().create_future()
