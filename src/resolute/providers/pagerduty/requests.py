"""`Requests`: one request to PagerDuty and what came of it, for a checked account.

It neither retries nor follows redirects nor remembers anything but open connections and how much room the token's
limit has left: when to repeat is decided in one place, by the engine and the ledger. Errors are those of `errors.py`;
none of them holds a key, nor the request that held one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx2

from resolute.clock import Clock
from resolute.errors import ConfigError, InputError, ProviderOutcomeUnknown, ProviderRejected
from resolute.jsontypes import JsonObject, JsonValue
from resolute.providers.pagerduty.config import PagerDutySettings
from resolute.providers.pagerduty.errors import TRANSPORT_ERRORS, Host, read_answer, read_failure
from resolute.providers.pagerduty.limiter import Urgency, limiter_for
from resolute.providers.pagerduty.mend import encode_body

ANSWER_BYTES: Final = 10 * 1024 * 1024
# Source: PagerDuty REST API v2, "Pagination": 100 rows at most, offset + limit at most 10,000.
PAGE_ROWS: Final = 100
REACHABLE_ROWS: Final = 10_000
# Source: PagerDuty REST API v2, "Versioning" and "Authentication".
_REST_ACCEPT: Final = "application/vnd.pagerduty+json;version=2"

Params = list[tuple[str, str]]


@dataclass
class _Answer:
    """What has arrived of an answer, and why no more did: a `failure`, or that it is longer than is read."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    failure: Exception | None = None


class Requests:
    """The requests of one account; `PagerDutyClient` gives them their names."""

    def __init__(
        self, settings: PagerDutySettings, *, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """Make a client; nothing is opened before the first request.

        Args:
            clock: what a `Retry-After` date and the resets of rate limits are measured against.
            transport: answers the requests instead of the network, in tests and with the simulator.
        """
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._http: httpx2.AsyncClient | None = None
        self._limiter = limiter_for(clock, settings.api_url, settings.api_key or "")

    async def aclose(self) -> None:
        """Close the connections; a later request opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def now(self) -> datetime:
        """The present instant by the clock of this client, aware."""
        return self._clock.now()

    def sender(self, given: str = "") -> str:
        """The address for `From`: what a call was given, else the account's.

        Raises:
            ConfigError: there is neither.

        Source: PagerDuty REST API v2, "From header".
        """
        address = given.strip() or self._settings.default_from
        if not address:
            raise ConfigError(
                "PagerDuty takes this change only in the name of one of its users. Set PAGERDUTY_FROM to a user's "
                "e-mail address, or give PagerDutyConfig(default_from=...)."
            )
        return address

    async def _get(self, path: str, params: Params | None = None, *, urgency: Urgency = "call") -> JsonObject:
        return await self._request("rest", "GET", path, params=params or (), urgency=urgency)

    async def _write(
        self, method: str, path: str, body: JsonObject | None = None, *, sender: str | None = None
    ) -> JsonObject:
        """Ask for a change.

        Args:
            sender: e-mail address for the `From` header; None for operations that take none.
        """
        content = None if body is None else encode_body(body)
        headers = {} if sender is None else {"From": sender}
        return await self._request("rest", method, path, content=content, headers=headers)

    async def _rows(
        self, path: str, params: Params, name: str, limit: int, *, urgency: Urgency = "call"
    ) -> tuple[list[JsonValue], bool]:
        """Up to `limit` rows of a paged list, and whether there are more.

        PagerDuty reaches no row past the first 10,000.
        """
        if limit < 1:
            raise InputError(f"limit is {limit}, expected 1 or more.")
        rows: list[JsonValue] = []
        async for page, more in self._pages(path, params, name, urgency=urgency):
            rows += page
            if len(rows) > limit or (len(rows) == limit and more):
                return rows[:limit], True
            if not more:
                return rows, False
        return rows[:limit], True

    async def _pages(
        self, path: str, params: Params, name: str, *, urgency: Urgency = "call"
    ) -> AsyncIterator[tuple[list[JsonValue], bool]]:
        """The pages of a list, each with whether another follows; ends without a last page at the 10,000th row.

        Pages are counted by the rows that came, never by those asked for.
        """
        came = 0
        while came + PAGE_ROWS <= REACHABLE_ROWS:
            kind: Urgency = "listing" if came and urgency == "call" else urgency
            paging = [("limit", str(PAGE_ROWS)), ("offset", str(came))]
            data = await self._get(path, [*params, *paging], urgency=kind)
            page = list_in(data, name, f"GET {path}")
            came += len(page)
            more = bool(page) and data.get("more") is not False
            yield page, more
            if not more:
                return

    async def _request(
        self,
        host: Host,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        secrets: Sequence[str] = (),
        urgency: Urgency = "call",
    ) -> JsonObject:
        sent = {"User-Agent": "resolute", "Accept": "application/json", "Accept-Encoding": "identity"}
        base = self._settings.events_url
        if host == "rest":
            if self._settings.api_key is None:
                raise ConfigError(
                    f"{method} {path} needs a PagerDuty REST API key and there is none. "
                    "Set PAGERDUTY_API_KEY, or give PagerDutyConfig(api_key=...); paging alone needs no such key."
                )
            base = self._settings.api_url
            # `token=` belongs to the value. Source: PagerDuty REST API v2, "Authentication".
            sent |= {"Accept": _REST_ACCEPT, "Authorization": f"Token token={self._settings.api_key}"}
        sent |= headers or {}
        if content is not None:
            sent["Content-Type"] = "application/json"
        request, known = f"{method} {path}", (*self._settings.secrets, *secrets)
        if host == "rest":
            answer = await self._limited(method, path, urgency, base, params, sent, content)
        else:
            answer = await self._exchange(method, base + path, params, sent, content)
        # From here no exception is being handled, so ours do not carry the one that holds the request.
        if answer.status is None:
            raise read_failure(answer.failure or OSError(), request=request, secrets=known)
        try:
            data = read_answer(
                host,
                answer.status,
                answer.headers,
                bytes(answer.body),
                request=request,
                now=self._clock.now(),
                secrets=known,
            )
        except (ProviderRejected, ProviderOutcomeUnknown):
            if answer.is_whole:
                raise
        else:
            if answer.is_whole:
                return data
        # Half an answer is believed where its status alone says that nothing was done, else not.
        why = type(answer.failure).__name__ if answer.failure else "no answer of that length is read"
        raise ProviderOutcomeUnknown(
            f"PagerDuty answered {answer.status} to {request}, but the answer was left after "
            f"{len(answer.body):,} bytes ({why}). It may or may not have been applied.",
            status=answer.status,
        )

    async def _limited(
        self,
        method: str,
        path: str,
        urgency: Urgency,
        base: str,
        params: Sequence[tuple[str, str]],
        headers: dict[str, str],
        content: bytes | None,
    ) -> _Answer:
        """One request when the token's limit lets it go."""
        await self._limiter.turn(method, path, urgency)
        answer = _Answer()
        try:
            answer = await self._exchange(method, base + path, params, headers, content)
        finally:
            self._limiter.learn(method, path, answer.status, answer.headers)
        return answer

    async def _exchange(
        self, method: str, url: str, params: Sequence[tuple[str, str]], headers: dict[str, str], content: bytes | None
    ) -> _Answer:
        """Make one request and gather its answer; what goes wrong is noted in it, not raised."""
        answer = _Answer()
        try:
            http = self._open()
            async with (
                asyncio.timeout(self._settings.total_timeout.total_seconds()),
                http.stream(method, url, params=list(params) or None, headers=headers, content=content) as response,
            ):
                answer.status, answer.headers = response.status_code, dict(response.headers)
                async for chunk in response.aiter_bytes():
                    answer.body += chunk
                    if len(answer.body) > ANSWER_BYTES:
                        return answer
                answer.is_whole = True
        except TRANSPORT_ERRORS as error:
            answer.failure = error
        return answer

    def _open(self) -> httpx2.AsyncClient:
        if self._http is None:
            try:
                self._http = httpx2.AsyncClient(
                    transport=self._transport,
                    follow_redirects=False,
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                    timeout=httpx2.Timeout(
                        connect=self._settings.connect_timeout.total_seconds(),
                        pool=self._settings.connect_timeout.total_seconds(),
                        read=self._settings.read_timeout.total_seconds(),
                        write=self._settings.read_timeout.total_seconds(),
                    ),
                )
            except (OSError, ValueError, ImportError) as error:
                # A proxy address or certificate file that cannot be used: nothing can have been sent.
                raise httpx2.ConnectError(f"the connection cannot be set up: {error}") from None
        return self._http


def list_in(data: JsonObject, name: str, request: str) -> list[JsonValue]:
    """The list of this name in an answer; raises ProviderOutcomeUnknown when there is none."""
    found = data.get(name)
    if not isinstance(found, list):
        raise ProviderOutcomeUnknown(f'PagerDuty answered {request} without "{name}", expected a list there.')
    return found


def object_in(data: JsonObject, name: str, request: str) -> JsonObject:
    """The object of this name in an answer; raises ProviderOutcomeUnknown when there is none."""
    found = data.get(name)
    if not isinstance(found, dict):
        raise ProviderOutcomeUnknown(f'PagerDuty answered {request} without "{name}", expected an object there.')
    return found
