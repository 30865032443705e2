"""`pagerduty.webhook(...)`: start a run for each event that PagerDuty delivers, signed with a secret of ours."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from resolute.jsontypes import JsonValue
from resolute.model.refs import SecretRef
from resolute.model.webhook import HEADER, Delivery, Webhook
from resolute.providers.pagerduty.webhook_types import DATA_TYPES, PING
from resolute.signatures import SecretRefs

SECRET: Final = "PAGERDUTY_WEBHOOK_SECRET"
SIGNATURE_HEADER: Final = "x-pagerduty-signature"
#: Stays the same through all attempts of a delivery. Source: PagerDuty developer docs, "Webhooks Overview".
ID_HEADER: Final = "X-Webhook-Id"

_SCHEME: Final = "v1="
#: More signatures than this no sender has reason to put into one header.
_SIGNATURES_AT_MOST: Final = 100
_LIKE_A_TYPO: Final = 0.85


@dataclass(frozen=True)
class PagerDutySignature:
    """The check of who sends: `v1=` HMAC-SHA256 of the raw body, several of them while a secret is replaced.

    Attributes:
        secrets: names of the secrets; the value of each may hold several, separated by commas or blanks.
        events: the event types that start runs, all when empty; others are answered with success.

    Source: PagerDuty developer docs, "Verifying Signatures".
    """

    secrets: tuple[str, ...] = (SECRET,)
    events: tuple[str, ...] = ()

    label = "PagerDuty"
    reads = (SIGNATURE_HEADER,)
    #: Three deliveries in a row that are refused disable the subscription, and lose all that it holds.
    unfit = 202

    @property
    def event_id(self) -> str | None:
        return f"{HEADER}{ID_HEADER}"

    def problems(self) -> list[str]:
        found = []
        if not self.secrets or not all(isinstance(name, str) and name for name in self.secrets):
            found.append(
                'pagerduty.webhook(secrets=...) takes the names of secrets: secret("PAGERDUTY_WEBHOOK_SECRET").'
            )
        for event in self.events:
            if not isinstance(event, str) or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event):
                found.append(f'events holds {event!r}, expected types such as "incident.triggered".')
            elif event not in DATA_TYPES:  # PagerDuty adds types, so only what looks like a typing error is one
                near = difflib.get_close_matches(event, DATA_TYPES, 1, _LIKE_A_TYPO)
                found.extend(f'events holds "{event}". Did you mean "{name}"?' for name in near)
        return found

    def accepts(self, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
        return is_signed(delivery.body, delivery.headers.get(SIGNATURE_HEADER, ""), secrets)

    def stamp(self, delivery: Delivery) -> str:
        return ""

    def reply(self, body: JsonValue) -> str | None:
        """What a test delivery is answered, or an event that no run is wanted for.

        Always with success, as what is unfit for the flow.
        """
        event = body.get("event") if isinstance(body, dict) else None
        kind = event.get("event_type") if isinstance(event, dict) else None
        if kind == PING:
            return "pong"
        if self.events and kind not in self.events:
            return "no run is started for events of this type"
        return None


def is_signed(body: bytes, header: str, secrets: Iterable[str]) -> bool:
    """Whether one of these secrets has signed the body; for receivers of your own.

    Args:
        body: the raw bytes, as they came.
        header: the value of `X-PagerDuty-Signature`: one or more `v1=` and a digest, separated by commas.
        secrets: each may hold several, separated by commas or blanks.
    """
    signatures = [part.strip() for part in header.split(",")[:_SIGNATURES_AT_MOST]]
    given = [
        part.removeprefix(_SCHEME).lower().encode("utf-8", "surrogatepass")
        for part in signatures
        if part.startswith(_SCHEME)
    ]
    found = False
    for key in (part for secret in secrets for part in re.split(r"[,\s]+", secret) if part):
        expected = hmac.new(key.encode("utf-8", "surrogatepass"), body, hashlib.sha256).hexdigest().encode()
        for digest in given:  # all are compared, each in constant time
            found |= hmac.compare_digest(digest, expected)
    return found


def webhook(
    path: str,
    *,
    secrets: SecretRefs | None = None,
    events: Iterable[str] = (),
    headers: Iterable[str] = (),
    event_id: str | None = None,
) -> Webhook:
    """Start a run for each event that PagerDuty delivers: `pagerduty.webhook("/pagerduty/webhook")`.

    The run's input is the envelope, `input_data("event.event_type")`; `parse_webhook` reads it. The same delivery
    again starts no second run. Test events (`pagey.ping`) are answered and start none.

    Args:
        path: of the address, on the listener that `WorkerConfig(webhooks=...)` or `RESOLUTE_WEBHOOKS` sets.
        secrets: `secret("NAME")`, or a list of them; by default PAGERDUTY_WEBHOOK_SECRET. While a secret is
            replaced, that may hold both, separated by a comma.
        events: only these types start runs, such as "incident.triggered"; all by default.
        headers: headers that the flow needs: the input is then `{"body": ..., "headers": {...}}`.
        event_id: "event.id" where several subscriptions deliver the same events: they start one run. By default each
            delivery is an event of its own, known by its `X-Webhook-Id`.
    """
    if secrets is None:
        names: tuple[str, ...] = (SECRET,)
    else:
        given = [secrets] if isinstance(secrets, SecretRef | str) else list(secrets)
        names = tuple(each.name if isinstance(each, SecretRef) else "" for each in given)
    kinds = (events,) if isinstance(events, str) else tuple(events)
    kept = (headers,) if isinstance(headers, str) else tuple(headers)
    check = PagerDutySignature(names, kinds)
    return Webhook(path, check, event_id, tuple(name.lower() if isinstance(name, str) else name for name in kept))
