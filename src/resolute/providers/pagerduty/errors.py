"""What an answer of PagerDuty, or the lack of one, means: done, refused, not done, or nobody knows.

Reads every shape of error that PagerDuty and the gateways before it are known to send, and never fails
on one it does not know. No text that leaves here holds a key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final, Literal

import httpx2

from resolute.errors import ProviderError, ProviderOutcomeUnknown, ProviderRejected, ProviderUnavailable
from resolute.jsontypes import JsonObject
from resolute.providers.pagerduty.plain import mend_text
from resolute.secrets import mask

Host = Literal["events", "rest"]

# What can go wrong between asking and the last byte of the answer; `read_failure` knows each.
TRANSPORT_ERRORS: Final = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError)
# Of these, the ones that end before a byte of the request has left. All others may have come too late.
NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)

# Answers without a body, such as that to deleting something.
_EMPTY_SUCCESSES: Final = frozenset({202, 204})
_KEPT_CHARACTERS: Final = 2_000
_KEPT_REASONS: Final = 20
_LONGEST_WAIT: Final = timedelta(hours=1)
#: The Events API names no time when it has enough of a routing key. Without one every new page would ask again at once.
_UNNAMED_WAIT: Final = timedelta(seconds=5)
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_MARKUP: Final = re.compile(r"\s*<|.{0,1000}<(?:!doctype|html|head|body)\b", re.IGNORECASE | re.DOTALL)
_PAGE_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{1,200})", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True)
class Refusal:
    """The words of an answer that is no success.

    Attributes:
        code: PagerDuty's own error code (2001 and the like), None without one.
        message: its headline, "" without one.
        errors: its reasons in its order; a body of plain text is one reason.
        is_markup: the body is HTML or XML, so it comes from a gateway, proxy or portal and not from the API.
    """

    code: int | None = None
    message: str = ""
    errors: tuple[str, ...] = ()
    is_markup: bool = False

    @property
    def words(self) -> str:
        """Headline and reasons on one line."""
        reasons = "; ".join(reason for reason in self.errors if reason != self.message)
        return " ".join(": ".join(part for part in (self.message, reasons) if part).split())


def read_answer(
    host: Host,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    request: str,
    now: datetime,
    secrets: Sequence[str] = (),
) -> JsonObject:
    """The JSON object of an answer that means success.

    Args:
        host: "events" accepts only by 202 with `"status": "success"`, "rest" by any 2xx with an object, or by
            202 or 204 with nothing.
        request: what was asked, for the message: "POST /v2/enqueue".
        now: the present instant, for a `Retry-After` that is a date.
        secrets: keys that are masked wherever PagerDuty repeats them.

    Raises:
        ProviderRejected: PagerDuty refused; repeating cannot help.
        ProviderUnavailable: nothing was done with the request.
        ProviderOutcomeUnknown: it may or may not have been applied.
    """
    if host == "rest" and status in _EMPTY_SUCCESSES and not body.strip():
        return {}
    data = _read_json(body)
    if isinstance(data, dict) and _is_success(host, status, data):
        return data
    refusal = read_refusal(data, body, secrets)
    names = {str(name).lower(): str(value) for name, value in headers.items()}
    wait = retry_after(names, now)
    if wait is None and host == "events" and status == 429:
        wait = _UNNAMED_WAIT
    verdict = _verdict(host, status, refusal.is_markup)
    message = " ".join(
        part
        for part in (
            f"PagerDuty answered {status} to {request}, expected "
            f"{'202 with status success' if host == 'events' else '200 with a JSON object'}: "
            f"{(refusal.words or 'no reason given').rstrip('.')}.",
            _consequence(verdict, wait),
            _hint(host, status, refusal, names),
        )
        if part
    )
    raise verdict(
        mask_secrets(message, secrets)[:_KEPT_CHARACTERS],
        status=status,
        code=refusal.code,
        errors=refusal.errors,
        request_id=mask_secrets(names.get("x-request-id", "")[:200], secrets) or None,
        retry_after=wait,
    )


def read_refusal(data: object, body: bytes, secrets: Sequence[str] = ()) -> Refusal:
    """Code, headline and reasons out of any body.

    Known shapes, beside the documented `{"error": {"message", "code", "errors": [...]}}` and the
    `{"status", "message", "errors"}` of Events: `errors` missing, a text or an object; `error` a text
    or a list; a bare text such as `Invalid routing key`; HTML of a gateway; nothing at all.

    Args:
        data: the body as JSON, None when it is not.
        secrets: keys that are masked before anything is cut, so that no part of one survives.
    """
    if data is None:
        text = mask_secrets(mend_text(body[: 4 * _KEPT_CHARACTERS].decode("utf-8-sig", "replace")), secrets).strip()
        if _MARKUP.match(text):
            title = _PAGE_TITLE.search(text)
            name = f' titled "{" ".join(title[1].split())}"' if title else ""
            return Refusal(message=f"an HTML page{name}, which the API itself does not send", is_markup=True)
        return Refusal(errors=(text[:_KEPT_CHARACTERS],) if text else ())
    whole = data if isinstance(data, dict) else {"errors": data}
    inner = whole.get("error")
    found = inner if isinstance(inner, dict) else whole
    reasons = found.get("errors") if found.get("errors") is not None else (None if found is inner else inner)
    headline = found.get("message") or found.get("status")
    reasons_kept = islice(_texts(reasons), _KEPT_REASONS)
    message, *errors = _within_limit([headline if isinstance(headline, str) else "", *reasons_kept], secrets)
    return Refusal(code=_code(found.get("code")), message=message, errors=tuple(reason for reason in errors if reason))


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long the server asked to wait, one hour at most; None where it did not say so in a readable way.

    `ratelimit-reset` is a number of seconds to wait, not a point in time.
    Source: PagerDuty REST API v2, "Rate Limiting"; `Retry-After` after RFC 9110.

    Args:
        headers: names in lower case.
        now: the present instant, aware.
    """
    for name in ("retry-after", "ratelimit-reset"):
        text = headers.get(name, "").strip()
        if _SECONDS.fullmatch(text):
            return min(timedelta(seconds=float(text)), _LONGEST_WAIT)
        if name == "retry-after" and text.endswith("GMT"):
            try:
                moment = parsedate_to_datetime(text[:40]).replace(tzinfo=UTC)
            except (ValueError, TypeError, IndexError, OverflowError):
                continue
            return min(max(moment - now, timedelta(0)), _LONGEST_WAIT)
    return None


def read_failure(error: Exception, *, request: str, secrets: Sequence[str] = ()) -> ProviderError:
    """The error for a request that got no answer; it keeps the words of `error`, never the request and its headers.

    Args:
        error: one of `TRANSPORT_ERRORS`.
    """
    words = " ".join(mask_secrets(mend_text(str(error)), secrets)[:_KEPT_CHARACTERS].split()).rstrip(".")
    words = words or ("the time for one request ran out" if isinstance(error, TimeoutError) else "no further reason")
    what = f"{mask_secrets(request, secrets)} got no answer from PagerDuty ({type(error).__name__}: {words})."
    if isinstance(error, NOT_SENT):
        verdict: type[ProviderError] = ProviderUnavailable
        fix = "Check network, DNS, proxy (HTTPS_PROXY), certificates (SSL_CERT_FILE) and the address."
    else:
        verdict, fix = ProviderOutcomeUnknown, ""
    message = " ".join(part for part in (what, _consequence(verdict, None), fix) if part)
    return verdict(message)


def mask_secrets(text: str, secrets: Sequence[str]) -> str:
    """The text with every occurrence of a secret of 8 characters or more masked, in whatever case."""
    for secret in sorted((secret for secret in secrets if len(secret) >= 8), key=len, reverse=True):
        text = re.sub(re.escape(secret), mask(secret).replace("\\", r"\\"), text, flags=re.IGNORECASE)
    return text


def _read_json(body: bytes) -> Any:
    """The body as JSON, half characters in it replaced; None when it is not JSON."""
    try:
        text = body.decode("utf-8-sig")
        data = json.loads(text)
        if _SURROGATE_ESCAPE.search(text):
            data = json.loads(mend_text(json.dumps(data, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return data


def _is_success(host: Host, status: int, data: JsonObject) -> bool:
    if host == "events":
        return status == 202 and data.get("status") == "success"
    return 200 <= status < 300


def _verdict(host: Host, status: int, is_markup: bool) -> type[ProviderError]:
    """Which error an answer is.

    - Redirects, 503 and the 4xx that mean "not now" or "not this way" were never applied.
    - 500, 502 and 504 come from behind the point of no return: a gateway may have lost the answer to
      something that was done. The same holds for whatever is not known here, such as a 200 of Events or
      a 202 without `success`: repeating under the same key or looking first is safe, believing it is not.
    - A 4xx is the service's own final word only where it is not HTML; a page is a portal or proxy.
    - Events documents 400 alone as a refusal. Any other 4xx there (401 and 404 of a proxy, 413 of a
      gateway) did nothing with the event, and may pass once the network is mended: a page is worth waiting.
    """
    if status in (407, 408, 421, 425, 429, 503) or 300 <= status < 400:
        return ProviderUnavailable
    if not 400 <= status < 500:
        return ProviderOutcomeUnknown
    if is_markup or (host == "events" and status != 400):
        return ProviderUnavailable
    return ProviderRejected


def _consequence(verdict: type[ProviderError], wait: timedelta | None) -> str:
    if verdict is ProviderRejected:
        return "Repeating it cannot help."
    if verdict is ProviderUnavailable:
        return "Nothing was done; it can be sent again" + (f" in {wait.total_seconds():.0f} s." if wait else ".")
    return "It may or may not have been applied."


def _hint(host: Host, status: int, refusal: Refusal, headers: Mapping[str, str]) -> str:
    """How to mend the usual mistakes."""
    words = refusal.words.casefold()
    address = "PAGERDUTY_EVENTS_URL" if host == "events" else "PAGERDUTY_API_URL"
    if 300 <= status < 400:
        target = mend_text(headers.get("location", "")).split("?")[0][:100]
        where = f" It leads to {target}." if target else ""
        return f"Redirects are not followed, since the request carries a key.{where} Check {address}."
    if refusal.is_markup and status < 500:
        return f"Look for a proxy, firewall or login page on the way, and at {address}."
    if host == "events":
        if status == 400 and re.search(r"routing.?key", words):
            return (
                "The routing key must be the Integration Key of an Events API v2 integration, 32 letters and digits; "
                "a REST API key (20 characters) is none. An EU account needs PAGERDUTY_REGION=eu."
            )
        if status in (401, 403, 404, 407):
            return f"The Events API does not answer so: look for a proxy or firewall on the way, and at {address}."
        return "PagerDuty takes about 120 events a minute for one routing key." if status == 429 else ""
    if status == 400 and ('"from" header' in words or "requester" in words):
        return "Set default_from (PAGERDUTY_FROM) to the e-mail address of a user of this account."
    return {
        401: "PAGERDUTY_API_KEY must hold a REST API key of this account (an integration key is none); "
        "an EU account needs PAGERDUTY_REGION=eu.",
        402: "The account's plan lacks this ability.",
        403: "The key may not do this: a read-only key cannot write, a scoped token needs the operation's scope.",
        404: "Check the id, and that the key belongs to the same account.",
        413: "Ask for less at a time.",
    }.get(status, "")


def _code(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**9 else None
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        return int(value)
    return None


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    """The texts of an `errors` member of any shape; of an object with the names of its fields."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list) and depth < 5:
        for item in value:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict) and depth < 5:
        for name, item in value.items():
            for text in _texts(item, depth + 1):
                yield f"{name}: {text}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield json.dumps(value)


def _within_limit(texts: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """The texts masked, in all no longer than is kept."""
    kept: list[str] = []
    room = _KEPT_CHARACTERS
    for text in texts:
        shown = mask_secrets(text[: 4 * _KEPT_CHARACTERS], secrets)[:room]
        kept.append(shown)
        room -= len(shown)
    return kept
