"""Whether an incident came of a page that was accepted: asked once, half a minute later, where there is a way to ask.

A paging service accepts events for a service in maintenance, or one that is disabled or suppresses them, and then
notifies nobody. Nothing is sent again for that; the log and the row say it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

from resolute.errors import ConfigError, ProviderError
from resolute.ledger.row import Row

log = logging.getLogger("resolute.ledger")

#: The service works on events after it has accepted them.
CONFIRM_AFTER: Final = timedelta(seconds=30)
#: A worker that was away for longer asks no more: whoever was to be notified has found out.
CONFIRM_WITHIN: Final = timedelta(hours=1)
#: In a storm of pages more look-ups than this would not wait: those of a storm say all the same.
CONFIRMED_AT_ONCE: Final = 50

NOBODY: Final = (
    "accepted, but no incident came of it within half a minute: probably nobody was notified (is the service in "
    "maintenance, disabled, or suppressing such events, or is the API key that of another account?)"
)


@runtime_checkable
class ConfirmingService(Protocol):
    """A paging service that can tell whether an accepted page became an incident."""

    @property
    def can_confirm(self) -> bool:
        """Whether there is a way to ask."""
        ...

    async def has_incident(self, dedup_key: str, *, sent: datetime) -> bool:
        """Whether an incident of this key is open, or was when the page was sent.

        Raises:
            ProviderError: the look-up failed.
        """
        ...


def can_confirm(service: object) -> bool:
    """Whether accepted pages of a service are looked up."""
    return isinstance(service, ConfirmingService) and service.can_confirm


async def is_confirmed(service: object, row: Row, now: datetime, scrub: Callable[[str], str]) -> bool | None:
    """Whether somebody can have been notified of an accepted page; None when that cannot be told."""
    sent = row.sent_at or row.created_at
    if not isinstance(service, ConfirmingService) or abs(now - sent) > CONFIRM_WITHIN:
        return None
    try:
        found = await service.has_incident(row.dedup_key, sent=sent)
    except (ProviderError, ConfigError) as error:  # the page is delivered; this is one look and no duty
        log.info("row %d: whether an incident came of it could not be looked up: %s", row.id, scrub(str(error)))
        return None
    if not found:
        log.warning("row %d (%s): %s", row.id, row.dedup_key, NOBODY)
    return found
