"""`PagerDutyClient`: one request to PagerDuty and what came of it, for a checked account.

It neither retries nor follows redirects nor remembers anything but open connections: when to repeat is
decided in one place, by the engine and the ledger. Errors are those of `errors.py`; none of them holds a
key, nor the request that held one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from resolute.clock import Clock
from resolute.errors import ConfigError, InputError, ProviderOutcomeUnknown, ProviderRejected
from resolute.jsontypes import JsonObject, JsonValue
from resolute.model.codec import describe
from resolute.providers.pagerduty.config import ROUTING_KEY, PagerDutySettings, describe_bad_routing_key
from resolute.providers.pagerduty.errors import TRANSPORT_ERRORS, Host, read_answer, read_failure
from resolute.providers.pagerduty.mend import encode_event
from resolute.providers.pagerduty.payloads import GetOnCallsOutput, Incident, OnCall
from resolute.secrets import mask

ANSWER_BYTES: Final = 10 * 1024 * 1024
# Source: PagerDuty REST API v2, "Pagination": 100 rows at most, offset + limit at most 10,000.
_PAGE_ROWS: Final = 100
_REACHABLE_ROWS: Final = 10_000
_FOUND_AT_MOST: Final = 1_000
# Source: PagerDuty REST API v2, "Versioning" and "Authentication".
_REST_ACCEPT: Final = "application/vnd.pagerduty+json;version=2"

Params = list[tuple[str, str]]
_Row = TypeVar("_Row", bound=BaseModel)


@dataclass(frozen=True)
class EventAnswer:
    """PagerDuty's acceptance of an event.

    Attributes:
        status: always "success".
        message: its own words, "Event processed".
        dedup_key: name of the alert, as PagerDuty repeats it.
    """

    status: str
    message: str
    dedup_key: str


@dataclass
class _Answer:
    """What has arrived of an answer, and why no more did: a `failure`, or that it is longer than is read."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    failure: Exception | None = None


class PagerDutyClient:
    """The requests that Resolute makes of one PagerDuty account.

    Proxies and certificates come from the usual variables (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`),
    which are read when the first request is made. Use one client in one event loop, and `aclose()` it.
    """

    def __init__(
        self, settings: PagerDutySettings, *, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """Make a client; nothing is opened before the first request.

        Args:
            clock: what a `Retry-After` date is measured against.
            transport: answers the requests instead of the network, in tests and with the simulator.
        """
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._http: httpx2.AsyncClient | None = None

    async def aclose(self) -> None:
        """Close the connections; a later request opens new ones."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def enqueue(self, event: JsonObject, routing_key: str) -> EventAnswer:
        """Send an event as `mend_event` makes it and return PagerDuty's acceptance.

        Accepted is not yet "an incident exists": PagerDuty works on events later, and drops an
        acknowledge or resolve for an alert that is not open.

        Raises:
            ProviderRejected: PagerDuty refused it, or the routing key is none and nothing was sent.
            ProviderUnavailable: nothing happened.
            ProviderOutcomeUnknown: sent, but no answer that can be trusted.

        Source: PagerDuty Events API v2, "Send an Alert Event".
        """
        key = routing_key.strip()
        if not ROUTING_KEY.fullmatch(key):
            raise ProviderRejected(
                f"Nothing was sent: the routing key ({mask(key)}) {describe_bad_routing_key(key)}",
                errors=("routing_key is not 32 letters and digits",),
            )
        data = await self._request("events", "POST", "/v2/enqueue", content=encode_event(event, key), secrets=(key,))
        answered = data.get("dedup_key")
        message = data.get("message")
        return EventAnswer(
            status="success",
            message=message[:2_000] if isinstance(message, str) else "",
            dedup_key=answered if isinstance(answered, str) and answered else str(event.get("dedup_key", "")),
        )

    async def find_incidents(self, dedup_key: str, *, since: datetime, until: datetime) -> list[Incident]:
        """The incidents of an alert key, of every status, oldest first, 1,000 at most.

        Also finds incidents whose alert has this key; not only those of one routing key.

        Args:
            dedup_key: never empty, since PagerDuty would then list every open incident.
            since: earliest creation, aware. Both ends are always sent: with one alone PagerDuty
                looks at one month from there.
            until: latest creation, aware, at most six months later.

        Raises:
            InputError: an empty key, or a time without an offset.
            ConfigError: there is no API key.
            ProviderRejected, ProviderUnavailable, ProviderOutcomeUnknown: as in `enqueue`.

        Source: PagerDuty REST API v2, "List incidents".
        """
        if not dedup_key.strip():
            raise InputError("find_incidents was given an empty dedup key, which would match every open incident.")
        params: Params = [
            ("incident_key", dedup_key),
            *(("statuses[]", status) for status in ("triggered", "acknowledged", "resolved")),
            *self._range(since, until),
            ("sort_by", "created_at:asc"),
        ]
        rows, _ = await self._rows("/incidents", params, "incidents", _FOUND_AT_MOST)
        incidents = (_read_row(Incident, row, "GET /incidents") for row in rows)
        # Rows move between pages while they are read, so one may come twice.
        return list({incident.id: incident for incident in incidents}.values())

    async def get_on_calls(
        self,
        *,
        schedule_ids: Sequence[str] = (),
        escalation_policy_ids: Sequence[str] = (),
        user_ids: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        earliest: bool = False,
        limit: int = 1_000,
    ) -> GetOnCallsOutput:
        """Who is on call, with names and e-mail addresses, in PagerDuty's order.

        Args:
            schedule_ids, escalation_policy_ids, user_ids: ids to look at; none at all means the whole account.
            since: start of the time range, aware; without both ends the present moment is meant, and a
                missing end is filled so that the range holds the present or the end given.
            until: its end, at most 90 days ahead. Every shift that overlaps the range is listed.
            earliest: only the next shift of each user on each level of each policy.
            limit: most entries to fetch; `more` of the output tells when there were others.

        Raises:
            InputError: an empty id, a time without an offset, a range that ends before it begins.
            ConfigError: there is no API key.
            ProviderRejected, ProviderUnavailable, ProviderOutcomeUnknown: as in `enqueue`.

        Source: PagerDuty REST API v2, "List all of the on-calls".
        """
        params: Params = [("include[]", "users")]
        for name, ids in (
            ("schedule_ids", schedule_ids),
            ("escalation_policy_ids", escalation_policy_ids),
            ("user_ids", user_ids),
        ):
            params += _id_filter(name, ids)
        params += self._range(since, until)
        if earliest:
            params.append(("earliest", "true"))
        rows, more = await self._rows("/oncalls", params, "oncalls", limit)
        return GetOnCallsOutput(oncalls=[_read_row(OnCall, row, "GET /oncalls") for row in rows], more=more)

    def _range(self, since: datetime | None, until: datetime | None) -> Params:
        if since is None and until is None:
            return []
        begin, end = _aware("since", since), _aware("until", until)
        now = self._clock.now()
        begin = begin or min(end or now, now)
        end = end or max(begin, now)
        if end < begin:
            raise InputError(f"until ({end.isoformat()}) is before since ({begin.isoformat()}). Exchange them.")
        return [("since", _text_of(begin)), ("until", _text_of(end, up=True))]

    async def _rows(self, path: str, params: Params, name: str, limit: int) -> tuple[list[JsonValue], bool]:
        """Up to `limit` rows of a paged list, and whether there are more.

        Pages are counted by the rows that came, never by those asked for. PagerDuty reaches no row past
        the first 10,000.
        """
        if limit < 1:
            raise InputError(f"limit is {limit}, expected 1 or more.")
        rows: list[JsonValue] = []
        while len(rows) + _PAGE_ROWS <= _REACHABLE_ROWS:
            paging = [("limit", str(_PAGE_ROWS)), ("offset", str(len(rows)))]
            data = await self._request("rest", "GET", path, params=[*params, *paging])
            page = data.get(name)
            if not isinstance(page, list):
                raise ProviderOutcomeUnknown(f'PagerDuty answered GET {path} without "{name}", expected a list there.')
            rows += page
            if len(rows) > limit or (len(rows) == limit and data.get("more") is True):
                return rows[:limit], True
            if not page or data.get("more") is False:
                return rows, False
        return rows[:limit], True

    async def _request(
        self,
        host: Host,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        content: bytes | None = None,
        secrets: Sequence[str] = (),
    ) -> JsonObject:
        headers = {"User-Agent": "resolute", "Accept": "application/json", "Accept-Encoding": "identity"}
        base = self._settings.events_url
        if host == "rest":
            if self._settings.api_key is None:
                raise ConfigError(
                    f"{method} {path} needs a PagerDuty REST API key and there is none. "
                    "Set PAGERDUTY_API_KEY, or give PagerDutyConfig(api_key=...); paging alone needs no such key."
                )
            base = self._settings.api_url
            # `token=` belongs to the value. Source: PagerDuty REST API v2, "Authentication".
            headers |= {"Accept": _REST_ACCEPT, "Authorization": f"Token token={self._settings.api_key}"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        request, known = f"{method} {path}", (*self._settings.secrets, *secrets)
        answer = await self._exchange(method, base + path, params, headers, content)
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


def _id_filter(name: str, ids: Sequence[str]) -> Params:
    listed = [ids] if isinstance(ids, str) else list(ids)
    if not all(isinstance(item, str) and item.strip() for item in listed):
        raise InputError(
            f"{name} holds an empty id, which would list everybody on call. Give ids, or leave {name} out to mean that."
        )
    return [(f"{name}[]", item.strip()) for item in listed]


def _aware(name: str, instant: datetime | None) -> datetime | None:
    if instant is not None and instant.utcoffset() is None:
        raise InputError(
            f"{name} is {instant.isoformat()}, without an offset; PagerDuty would read it in the account's time zone. "
            "Give an aware time: datetime.now(UTC)."
        )
    return instant


def _text_of(instant: datetime, *, up: bool = False) -> str:
    """ISO 8601 in UTC, whole seconds; the end of a range is rounded up so that nothing falls out."""
    whole = instant.astimezone(UTC).replace(microsecond=0)
    return (whole + timedelta(seconds=1) if up and instant.microsecond else whole).isoformat()


def _read_row(model: type[_Row], row: JsonValue, request: str) -> _Row:
    try:
        return model.model_validate(row)
    except ValidationError as error:
        raise ProviderOutcomeUnknown(
            f"PagerDuty answered {request} with an entry that cannot be read: {describe(error)}."
        ) from None
