"""Checks of who sends a webhook: pure functions of the raw body, the headers, the secrets and the clock.

Secrets are given by name and read for each delivery; each check takes several, so that they can be changed while
deliveries come. All comparisons take the same time wherever the difference lies.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from resolute.jsontypes import JsonValue
from resolute.model.refs import SecretRef
from resolute.model.webhook import HEADER, Delivery

Encoding = Literal["hex", "base64"]
SecretRefs = SecretRef | str | Iterable[SecretRef | str]  # for type checkers secret(...) is a str

#: How far the signed time of a delivery may be off, before or after.
TOLERANCE: Final = timedelta(minutes=5)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


@dataclass(frozen=True)
class _Check:
    """What the checks have in common.

    Attributes:
        secrets: the names of the secrets, any of which may have signed.
    """

    secrets: tuple[str, ...] = ()

    @property
    def event_id(self) -> str | None:
        return None

    @property
    def unfit(self) -> int:
        return 422

    def problems(self) -> list[str]:
        if self.secrets and all(isinstance(name, str) and name for name in self.secrets):
            return []
        return ['A check needs the names of its secrets: secret("NAME"), or a list of them: [secret("NEW"), ...].']

    def stamp(self, delivery: Delivery) -> str:
        return ""

    def reply(self, body: JsonValue) -> str | None:
        return None


@dataclass(frozen=True)
class HmacSha256(_Check):
    """A header holds the HMAC-SHA256 of the body.

    Attributes:
        header: its name.
        prefix: what stands before the digest.
        encoding: how the digest is written; hexadecimal digits may be upper or lower case.
        label: what it is called in pictures and lists.
        event_id: where such deliveries carry the id of their event.
    """

    header: str = "X-Signature"
    prefix: str = ""
    encoding: Encoding = "hex"
    label: str = "HMAC-SHA256"
    event_id: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.header.lower(),)

    def problems(self) -> list[str]:
        found = super().problems()
        if not isinstance(self.header, str) or not _TOKEN.fullmatch(self.header):
            found.append(f'hmac_sha256(header={self.header!r}) needs the name of a header: header="X-Signature".')
        if self.encoding not in ("hex", "base64"):
            found.append(f'hmac_sha256(encoding={self.encoding!r}) is "hex" or "base64".')
        return found

    def accepts(self, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
        given = delivery.headers.get(self.header.lower(), "").strip()
        if not given.startswith(self.prefix):
            return False
        given = given[len(self.prefix) :]
        if self.encoding == "hex":
            return _is_any(given.lower(), [_digest(secret, delivery.body).hex() for secret in secrets])
        digests = [base64.b64encode(_digest(secret, delivery.body)).decode() for secret in secrets]
        return _is_any(given, digests)


@dataclass(frozen=True)
class Slack(_Check):
    """Slack's v0 scheme: the signed time and the body. A delivery that is older than five minutes is refused.

    Source: Slack API, "Verifying requests from Slack".
    """

    label = "Slack"
    reads = ("x-slack-signature", "x-slack-request-timestamp")

    @property
    def event_id(self) -> str | None:
        return "event_id"

    def accepts(self, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
        stamp = self.stamp(delivery)
        if not re.fullmatch(r"[0-9]{1,12}", stamp) or abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
            return False
        signed = b"v0:" + stamp.encode() + b":" + delivery.body
        given = delivery.headers.get("x-slack-signature", "").strip().lower()
        return _is_any(given, [f"v0={_digest(secret, signed).hex()}" for secret in secrets])

    def stamp(self, delivery: Delivery) -> str:
        return delivery.headers.get("x-slack-request-timestamp", "").strip()

    def reply(self, body: JsonValue) -> str | None:
        """The challenge with which Slack asks whether this address is ours."""
        if isinstance(body, dict) and body.get("type") == "url_verification":
            return str(body.get("challenge", ""))
        return None


@dataclass(frozen=True)
class Bearer(_Check):
    """The header `Authorization: Bearer ...` holds the secret itself."""

    label = "bearer token"
    reads = ("authorization",)

    def accepts(self, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
        scheme, _, given = delivery.headers.get("authorization", "").strip().partition(" ")
        return _is_any(given.strip(), secrets) and scheme.lower() == "bearer"


@dataclass(frozen=True)
class Unsigned(_Check):
    """No check: whoever reaches the address may start runs."""

    label = "unsigned"
    reads = ()

    def problems(self) -> list[str]:
        return []

    def accepts(self, delivery: Delivery, secrets: Sequence[str], now: datetime) -> bool:
        return True

    def __repr__(self) -> str:
        return "unsigned"


#: Says that a webhook has no check: whoever reaches its address may start runs.
unsigned: Final = Unsigned()


def hmac_sha256(
    secrets: SecretRefs, *, header: str = "X-Signature", prefix: str = "", encoding: Encoding = "hex"
) -> HmacSha256:
    """A header with the HMAC-SHA256 of the body: `hmac_sha256(secret("HOOK_SECRET"), header="X-Signature")`.

    Args:
        secrets: one, or a list of them, any of which may have signed.
        prefix: what stands before the digest, e.g. "sha256=".
        encoding: how the digest is written.
    """
    return HmacSha256(_names(secrets), header, prefix, encoding)


def github(secrets: SecretRefs) -> HmacSha256:
    """GitHub's `X-Hub-Signature-256`; the id of an event is its `X-GitHub-Delivery`.

    Source: GitHub Docs, "Validating webhook deliveries".
    """
    place = f"{HEADER}X-GitHub-Delivery"
    return HmacSha256(_names(secrets), "X-Hub-Signature-256", "sha256=", label="GitHub", event_id=place)


def slack(secrets: SecretRefs) -> Slack:
    """Slack's signed requests of the last five minutes; the id of an event is the body's `event_id`.

    Slack's question whether the address is ours is answered, and starts no run.
    """
    return Slack(_names(secrets))


def bearer(secrets: SecretRefs) -> Bearer:
    """A shared token: `Authorization: Bearer ...`. It says nothing of the body, so let TLS protect both."""
    return Bearer(_names(secrets))


def _names(secrets: SecretRefs) -> tuple[str, ...]:
    """The names of secrets; what is no `secret(...)` becomes "", which `build()` tells."""
    given = [secrets] if isinstance(secrets, SecretRef | str) else list(secrets)
    return tuple(each.name if isinstance(each, SecretRef) else "" for each in given)


def _digest(secret: str, signed: bytes) -> bytes:
    return hmac.digest(secret.encode("utf-8", "surrogatepass"), signed, hashlib.sha256)


def _is_any(given: str, expected: Sequence[str]) -> bool:
    """Whether it is one of these; all are compared, each in constant time."""
    text = given.encode("utf-8", "surrogatepass")
    found = False
    for each in expected:
        found |= hmac.compare_digest(text, each.encode("utf-8", "surrogatepass"))
    return found
