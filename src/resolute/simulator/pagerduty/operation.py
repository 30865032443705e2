"""`Operation`: one operation of the REST API, with all that routing, rights and documents need to know of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.wire import SimAnswer


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: PagerDuty's `operationId`.
        path: with ids in braces, as in "/incidents/{id}".
        scope: what an OAuth token needs; it also says whether this writes.
        wraps: name of the object or list in the answer, "" when there is no body.
        status: of a good answer.
        is_paged: takes `limit`, `offset` and `total`.
        needs_from: a key of the account has to send `From`.
        is_scarce: has a smaller rate limit of its own.
        query: other parameters; a name that ends with [] may be repeated.
        include: what `include[]` may name.
        body: wrapper → fields of the JSON body, "" for a body without a wrapper.
    """

    name: str
    method: str
    path: str
    handler: Callable[[RestCall, IncidentBook], SimAnswer]
    scope: str
    wraps: str
    status: int = 200
    is_paged: bool = False
    needs_from: bool = False
    is_scarce: bool = False
    query: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    body: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def match(self, path: str) -> tuple[str, ...] | None:
        """The ids in `path`, None when it is another path."""
        wanted, sent = self.path.split("/"), path.split("/")
        if len(wanted) != len(sent):
            return None
        pairs = list(zip(wanted, sent, strict=True))
        if any(not w.startswith("{") and w != s for w, s in pairs):
            return None
        return tuple(s for w, s in pairs if w.startswith("{"))
