"""`IncidentPlace`: how far a walk over all incidents of a range has come; each page says where the next one begins.

Each page begins at the time of the last incident of the page before. So there is no 10,000th row behind which PagerDuty
gives none, and nothing is skipped when incidents leave a filter meanwhile; what comes twice is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import BaseModel, Field

from resolute.errors import InputError
from resolute.providers.pagerduty.payloads import Incident
from resolute.providers.pagerduty.requests import PAGE_ROWS, REACHABLE_ROWS

#: How far two neighbouring pages overlap: times are whole seconds, and whether ends belong to a range is not told.
OVERLAP: Final = timedelta(seconds=1)
#: Rows that two neighbouring pages of one moment have in common, by which it is seen that nothing was skipped.
OVERLAP_ROWS: Final = 10


class IncidentPlace(BaseModel):
    """A place in a list of incidents, oldest first; JSON keeps it as it is.

    Attributes:
        begin: where the page begins.
        end: of the whole range.
        offset: rows of it that are left out; more than none only where over a hundred were created in one moment.
        repeats: whether the page begins with rows of the page before.
        seen: incidents that came already and may come again, with the time of their creation.
    """

    begin: datetime
    end: datetime
    offset: int = 0
    repeats: bool = False
    seen: dict[str, datetime] = Field(default_factory=dict)

    def unseen(self, page: Sequence[Incident]) -> list[Incident]:
        """Those of the page that did not come before, each once."""
        return list({each.id: each for each in page if each.id not in self.seen}.values())

    def after(self, page: Sequence[Incident], window_end: datetime, *, is_last: bool) -> IncidentPlace | None:
        """Where the page after this one begins; None when the range is over.

        Args:
            window_end: of the part of the range that was asked for.
            is_last: PagerDuty has no more of that part.

        Raises:
            InputError: more incidents were created in one moment than PagerDuty gives.
        """
        known = self.seen | {each.id: each.created_at or self.begin for each in page}
        if self._is_behind_a_gap(page):
            back = max(0, self.offset - PAGE_ROWS // 2)
            return self.model_copy(update={"offset": back, "repeats": back > 0, "seen": known})
        if is_last:
            return None if window_end >= self.end else self._at(window_end - OVERLAP, known)
        latest = max((each.created_at for each in page if each.created_at), default=self.begin) - OVERLAP
        if latest > self.begin:
            return self._at(latest, known)
        repeats = len(page) > OVERLAP_ROWS
        offset = self.offset + len(page) - (OVERLAP_ROWS if repeats else 0)
        if offset + PAGE_ROWS > REACHABLE_ROWS:
            raise InputError(
                f"More than {REACHABLE_ROWS:,} incidents were created at {self.begin.isoformat()}, and PagerDuty gives "
                "no more of one moment. Narrow the filters, e.g. to one service at a time."
            )
        return self.model_copy(update={"offset": offset, "repeats": repeats, "seen": known})

    def _is_behind_a_gap(self, page: Sequence[Incident]) -> bool:
        """Whether so many rows before this page have left the filter that others moved up, unseen, to before it."""
        return self.repeats and (not page or page[0].id not in self.seen)

    def _at(self, begin: datetime, known: dict[str, datetime]) -> IncidentPlace:
        """The place at a later time; what was created well before it cannot come again."""
        seen = {id: at for id, at in known.items() if at >= begin - OVERLAP}
        return IncidentPlace(begin=begin, end=self.end, seen=seen)
