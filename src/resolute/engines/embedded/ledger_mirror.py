"""`LedgerMirror`: the rows of this engine's incident log on their way to a ledger that several workers share.

Each row that is written to the journal is noted there, in the same batch, as still to be told; a task tells the ledger
and takes the note away. So nothing that the journal knows is lost to the ledger, however long that is away.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final, cast

from resolute.engines.embedded.store import Op, Opened, PutMemory, Store
from resolute.errors import StoreUnavailable
from resolute.ledger.incident_log import IncidentLog
from resolute.ledger.row import Row
from resolute.ledger.shared import SharedLedger

log = logging.getLogger("resolute.ledger")

#: The memory in which notes are kept: row id → "1"; no flow has such a name.
OUTBOX: Final = "~ledger"
#: The memory of what this journal is to the ledger: its name there, and the key of the ledger's digests.
SELF: Final = "~ledger:self"
#: How often it is looked which alerts other workers have open.
LOOK_S: Final = 1.0
#: Pause after the ledger could not be told, which doubles up to the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
#: Rows that are told at once.
AT_ONCE: Final = 500


class LedgerMirror:
    """Tells the ledger of every row, in the background."""

    def __init__(self, ledger: SharedLedger) -> None:
        self.ledger = ledger
        self._untold: dict[int, Row] = {}
        self._new = asyncio.Event()

    def beside(self, store: Store) -> Store:
        """The store, with a note for each row that it takes."""
        return cast(Store, _NotingStore(store, self))

    def note(self, rows: Sequence[Row]) -> None:
        """Know rows that are in the journal now."""
        self._untold.update((row.id, row) for row in rows)
        self._new.set()

    async def begin(self, store: Store, opened: Opened) -> bytes:
        """Take up what is still to be told, at first all that matters; the key of the ledger's digests.

        Raises:
            StoreUnavailable: the ledger cannot be reached, and never was from this journal.
        """
        known = await store.memory(SELF)
        name = known.get("name") or secrets.token_hex(8)
        try:
            key = (await self.ledger.open(name, opened.digest_key)).hex()
        except StoreUnavailable as error:
            if "key" not in known:
                raise
            key = known["key"]
            log.warning("%s Pages are sent without it, and it is told of them later.", error)
        if known != {"name": name, "key": key}:
            notes = [PutMemory(OUTBOX, str(row.id), "1") for row in opened.rows if "name" not in known]
            await store.commit([PutMemory(SELF, "name", name), PutMemory(SELF, "key", key), *notes])
        for id in sorted(map(int, await store.memory(OUTBOX))):
            row = await store.ledger_row(id)
            if row is not None:
                self._untold[id] = row
        return bytes.fromhex(key)

    async def run(self, store: Store, incidents: IncidentLog) -> None:
        """Tell what there is to tell, and look at what others have open, until cancelled."""
        pause_s, is_away = FIRST_PAUSE_S, False
        while True:
            self._new.clear()
            try:
                while self._untold:
                    await self._tell(store)
                await self._look(store, incidents)
            except StoreUnavailable as error:
                if not is_away:
                    log.warning("%s It is told of everything once it is back.", error)
                is_away = True
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
                continue
            if is_away:
                log.warning("the shared ledger is there again and knows everything")
            pause_s, is_away = FIRST_PAUSE_S, False
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._new.wait()
            except TimeoutError:
                continue

    async def tell_all(self, store: Store) -> None:
        """Tell what there is to tell now, for an engine that ends; raises StoreUnavailable."""
        while self._untold:
            await self._tell(store)

    async def _tell(self, store: Store) -> None:
        rows = dict(sorted(self._untold.items())[:AT_ONCE])
        keys = await self._keys(store, rows)
        await self.ledger.put(list(rows.values()), keys)
        told = [id for id, row in rows.items() if self._untold.get(id) is row]
        for id in told:
            del self._untold[id]
        if told:
            await store.commit([PutMemory(OUTBOX, str(id), None) for id in told])

    async def _keys(self, store: Store, rows: dict[int, Row]) -> dict[int, str]:
        """The keys of the rows that these name; those of them that are still to be told come along."""
        keys: dict[int, str] = {}
        ahead = list(rows.values())
        for row in ahead:
            for number in (row.superseded_by, row.folded_into):
                if number is None or number in keys:
                    continue
                if number in self._untold and number not in rows:
                    rows[number] = self._untold[number]
                    ahead.append(rows[number])
                named = rows.get(number) or await store.ledger_row(number)
                if named is not None:
                    keys[number] = named.idempotency_key
        return keys

    async def _look(self, store: Store, incidents: IncidentLog) -> None:
        alerts = await self.ledger.open_alerts()
        if self._untold:  # what it says of those is old
            return
        incidents.open_elsewhere = frozenset(key for _, key in alerts)
        closed = incidents.closed_elsewhere(frozenset(lane for lane, _ in alerts))
        if closed:
            await store.commit(closed)


class _NotingStore:
    """A store that notes each row of the incident log that it writes."""

    def __init__(self, store: Store, mirror: LedgerMirror) -> None:
        self._store = store
        self._mirror = mirror

    async def commit(self, batch: Sequence[Op]) -> None:
        rows = [op for op in batch if isinstance(op, Row)]
        if not rows:
            await self._store.commit(batch)
            return
        await self._store.commit([*batch, *(PutMemory(OUTBOX, str(row.id), "1") for row in rows)])
        self._mirror.note(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
