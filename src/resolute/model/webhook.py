"""Webhooks: deliveries over HTTP that start runs, and what a check of who sends them has to answer.

A check is anything that fits `Signature`; those of `resolute.signatures` and of the providers do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, runtime_checkable

from resolute.jsontypes import JsonValue

#: How an `event_id=` that is a header begins; any other is a path into the body.
HEADER: Final = "header:"

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_BODY_PATH: Final = re.compile(r"[^.\s]+(\.[^.\s]+)*")
#: What is asked for under these names is a secret; it must not come to the disk.
_CREDENTIALS: Final = frozenset({"authorization", "proxy-authorization", "cookie"})
_LONGEST_PATH: Final = 200


@dataclass(frozen=True)
class Delivery:
    """A request as it came.

    Attributes:
        headers: by name in lower case; of one that came several times the values, joined by ", ".
        body: every byte of it, as it was signed.
    """

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@runtime_checkable
class Signature(Protocol):
    """How a webhook knows that a delivery comes from whom it should."""

    @property
    def label(self) -> str:
        """What it is, in a word or two, for pictures and lists."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets, any of which may have signed; none for a check that needs none."""
        ...

    @property
    def reads(self) -> tuple[str, ...]:
        """The headers, in lower case, that hold signatures or secrets; they are never recorded."""
        ...

    @property
    def event_id(self) -> str | None:
        """Where these deliveries carry the id of their event unless the webhook says so itself, as its `event_id`."""
        ...

    def problems(self) -> list[str]:
        """What is wrong with it, as sentences."""
        ...

    def accepts(self, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
        """Whether one of these secrets has signed the delivery, and lately, where the scheme tells that."""
        ...

    def stamp(self, delivery: Delivery) -> str:
        """The signed time of a delivery, "" where the scheme has none: the same bytes later are another event."""
        ...

    @property
    def unfit(self) -> int:
        """The status of the answer to a good delivery that the flow does not accept."""
        ...

    def reply(self, body: JsonValue) -> str | None:
        """The text that a delivery is answered with at once, and no run started; None for all that are events."""
        ...


@dataclass(frozen=True)
class Webhook:
    """Starts a run for each event that is delivered to a path.

    Attributes:
        path: of the address, e.g. "/github".
        signature: the check of who sends, None where the author gave none, which is a problem.
        event_id: where the id of an event stands: "header:X-Event-Id" or a path into the body such as "event.id".
        headers: the headers that the run's input holds beside the body, in lower case.
    """

    path: str
    signature: Signature | None
    event_id: str | None = None
    headers: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Names this trigger among those of its flow."""
        return f"webhook:{self.path}"

    @property
    def id_place(self) -> str | None:
        """Where the id of an event stands, None where deliveries have none."""
        if self.event_id is not None or self.signature is None:
            return self.event_id
        return self.signature.event_id

    def problems(self) -> list[str]:
        return [*self._path_problems(), *self._signature_problems(), *self._id_problems(), *self._header_problems()]

    def _path_problems(self) -> Iterator[str]:
        path = self.path
        if not isinstance(path, str) or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            yield (
                f"webhook({path!r}) needs a path of letters, digits and . _ ~ - between slashes, "
                'a slash first and none at the end: webhook("/github/push", ...).'
            )
        elif len(path) > _LONGEST_PATH:
            yield f"webhook({path!r}) has a path of {len(path)} characters. Use at most {_LONGEST_PATH}."

    def _signature_problems(self) -> Iterator[str]:
        shown = f"webhook({self.path!r}"
        if self.signature is None:
            yield (
                f"{shown}) does not check who sends, so anybody could start runs. "
                'Give signature=hmac_sha256(secret("NAME"), header="X-Signature") or another check; '
                "where anybody may, say so: signature=unsigned."
            )
        elif isinstance(self.signature, type) or not isinstance(self.signature, Signature):
            yield (
                f"{shown}, signature=...) was given {self.signature!r}, which is no check. "
                'Write signature=github(secret("NAME")), or hmac_sha256, slack, bearer or unsigned.'
            )
        else:
            yield from (f"{shown}): {problem}" for problem in self.signature.problems())

    def _id_problems(self) -> Iterator[str]:
        place = self.event_id
        if place is None:
            return
        if isinstance(place, str) and place.startswith(HEADER):
            is_good = _TOKEN.fullmatch(place.removeprefix(HEADER)) is not None
        else:
            is_good = isinstance(place, str) and _BODY_PATH.fullmatch(place) is not None
        if not is_good:
            yield (
                f"webhook({self.path!r}, event_id={place!r}) says where the id of an event stands: in a header, "
                'event_id="header:X-Event-Id", or in the body, event_id="event.id".'
            )

    def _header_problems(self) -> Iterator[str]:
        secret = _CREDENTIALS | set(self.signature.reads if isinstance(self.signature, Signature) else ())
        for name in self.headers:
            if not isinstance(name, str) or not _TOKEN.fullmatch(name):
                yield f'webhook({self.path!r}, headers=...) takes names of headers such as "X-Event", not {name!r}.'
            elif name in secret:
                yield (
                    f'webhook({self.path!r}, headers=...) names "{name}", which holds a secret or a signature and '
                    "would be written to the store. Take it away."
                )


def webhooks_in(triggers: Iterable[object]) -> tuple[Webhook, ...]:
    """Those of the triggers that are webhooks, in order."""
    return tuple(trigger for trigger in triggers if isinstance(trigger, Webhook))


def webhook(
    path: str,
    *,
    signature: Signature | None = None,
    event_id: str | None = None,
    headers: Iterable[str] = (),
) -> Webhook:
    """Start a run for each event that is delivered: `webhook("/github", signature=github(secret("HOOK_SECRET")))`.

    The run's input is the body: JSON data, the fields of a form, or else its text. The same event delivered again
    starts no second run.

    Args:
        path: of the address, on the listener that `WorkerConfig(webhooks=...)` or `RESOLUTE_WEBHOOKS` sets.
        signature: the check of who sends; needed, `unsigned` says that there is none.
        event_id: where the id of an event stands: "header:X-Event-Id", or a path into the body such as "event.id".
            By default where the sender of that signature has it; where there is none, the bytes of the body (and the
            signed time) are the event.
        headers: headers that the flow needs: the input is then `{"body": ..., "headers": {...}}`, with the names in
            lower case.
    """
    names = (headers,) if isinstance(headers, str) else tuple(headers)
    return Webhook(path, signature, event_id, tuple(n.lower() if isinstance(n, str) else n for n in names))
