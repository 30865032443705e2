"""`PagerDutyConfig`: what the operator says about an account, and `PagerDutySettings`: what came of it.

The config is written down wherever the worker is put together and reads nothing; `resolve` reads the
environment and the files it names, checks everything together and reports every fault at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from resolute.errors import ConfigError

Region = Literal["us", "eu"]

# An account lives in exactly one region and there is no call that tells which; REST and Events are
# different hosts. Source: PagerDuty developer docs, "Service Regions".
_API_URLS: Final[Mapping[Region, str]] = {"us": "https://api.pagerduty.com", "eu": "https://api.eu.pagerduty.com"}
_EVENTS_URLS: Final[Mapping[Region, str]] = {
    "us": "https://events.pagerduty.com",
    "eu": "https://events.eu.pagerduty.com",
}
_EVENTS_PATHS: Final = ("/v2/enqueue", "/v2/change/enqueue", "/v2")

# Source: PagerDuty Events API v2, "routing_key: 32 character integration key".
ROUTING_KEY: Final = re.compile(r"[0-9A-Za-z]{32}")
# REST keys are opaque; 20 characters is what the account pages hand out.
REST_KEY: Final = re.compile(r"[0-9A-Za-z_+\-]{20}")
_HEADER_TEXT: Final = re.compile(r"[!-~]+")  # what may stand in an HTTP header: no blank, no control character
_EMAIL: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+")  # one @ between two parts without blanks

_CONNECT_AT_MOST: Final = timedelta(seconds=5)
_SILENCE_AT_MOST: Final = timedelta(seconds=10)
_REQUEST_AT_MOST: Final = timedelta(seconds=30)


@dataclass(frozen=True)
class PagerDutySettings:
    """A checked account: keys trimmed, addresses without a trailing slash. Made by `PagerDutyConfig.resolve`.

    Attributes:
        api_key: REST key; None unless given. Only REST calls need it.
        service_key: the routing key used where a node names none.
        default_from: e-mail address of a PagerDuty user, sent as `From` by REST writes.
        api_url: base of the REST API, e.g. "https://api.pagerduty.com".
        events_url: base of the Events API without its path, e.g. "https://events.pagerduty.com".
        webhook_secrets: every secret that a webhook may be signed with.
        connect_timeout: for the connection and again for its TLS handshake.
        read_timeout: longest silence between two pieces of an answer, and for writing.
        total_timeout: for one request, from connecting to the last byte.
        confirm: whether accepted pages are looked up; None: where requests go over the network.
        events_per_minute: events that a routing key takes in a minute; None: it is learned.
    """

    api_key: str | None = field(default=None, repr=False)
    service_key: str | None = field(default=None, repr=False)
    default_from: str | None = None
    region: Region = "us"
    api_url: str = _API_URLS["us"]
    events_url: str = _EVENTS_URLS["us"]
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    connect_timeout: timedelta = _CONNECT_AT_MOST
    read_timeout: timedelta = _SILENCE_AT_MOST
    total_timeout: timedelta = _REQUEST_AT_MOST
    confirm: bool | None = None
    events_per_minute: int | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value in here that must never be printed or stored."""
        return tuple(key for key in (self.api_key, self.service_key, *self.webhook_secrets) if key)


@dataclass(frozen=True, repr=False)
class PagerDutyConfig:
    """A PagerDuty account. Every field may be left out; `resolve` then takes it from the environment.

    Making one reads nothing and never fails. Each variable may instead name a file: with
    `PAGERDUTY_API_KEY_FILE=/run/secrets/pagerduty` the key is that file's text.

    Attributes:
        api_key: REST API key (`PAGERDUTY_API_KEY`); paging alone does not need it.
        service_key: routing key of nodes that give none, also called integration key (`PAGERDUTY_SERVICE_KEY`).
        default_from: e-mail address of a PagerDuty user in whose name REST writes act (`PAGERDUTY_FROM`).
        region: "us" or "eu", chooses both addresses (`PAGERDUTY_REGION`, default "us").
        api_url: base address of the REST API instead of the region's (`PAGERDUTY_API_URL`).
        events_url: base address of the Events API instead of the region's (`PAGERDUTY_EVENTS_URL`).
        webhook_secrets: signing secrets, several while one is replaced (`PAGERDUTY_WEBHOOK_SECRET`,
            separated by commas or blanks); those given here are for `is_signed`, `webhook` reads the variable.
        timeout: longest time for one request; without it 30 s, of which at most 10 s may pass in silence.
        confirm: look up once, 30 s after a page was accepted, whether an incident came of it, and warn if not. By
            default where there is an API key and no `transport` stands in for the network.
        events_per_minute: how many events the account takes for one routing key in a minute, where that is known: none
            is sent beyond it. PagerDuty documents 120, and gives some accounts up to 10,000. Without it the limit is
            learned once it is met (`PAGERDUTY_EVENTS_PER_MINUTE`).
    """

    api_key: str | None = None
    service_key: str | None = None
    default_from: str | None = None
    region: str | None = None
    api_url: str | None = None
    events_url: str | None = None
    webhook_secrets: Sequence[str] | None = None
    timeout: timedelta | None = None
    confirm: bool | None = None
    events_per_minute: int | None = None

    def __repr__(self) -> str:
        given = [name.name for name in fields(self) if getattr(self, name.name) is not None]
        return f"{type(self).__name__}({', '.join(f'{name}=…' for name in given)})"

    def resolve(self, environ: Mapping[str, str]) -> PagerDutySettings:
        """The account's settings: what was given here, else what the environment says, else the default.

        Raises:
            ConfigError: one or several values are wrong; the text names the source of each, never a secret.
        """
        reader = _Reader(environ)
        api_key = reader.api_key(self.api_key)
        service_key = reader.service_key(self.service_key)
        default_from = reader.default_from(self.default_from)
        region = reader.region(self.region)
        api_url = reader.url("api_url", self.api_url, "PAGERDUTY_API_URL", _API_URLS[region])
        events_url = reader.url("events_url", self.events_url, "PAGERDUTY_EVENTS_URL", _EVENTS_URLS[region])
        webhook_secrets = reader.webhook_secrets(self.webhook_secrets)
        total = reader.timeout(self.timeout)
        events_per_minute = reader.events_per_minute(self.events_per_minute)
        if reader.problems:
            raise ConfigError(
                "\n".join(["PagerDuty is not set up right:", *(f"  - {problem}" for problem in reader.problems)])
            )
        return PagerDutySettings(
            api_key=api_key,
            service_key=service_key,
            default_from=default_from,
            region=region,
            api_url=api_url,
            events_url=_without_events_path(events_url),
            webhook_secrets=webhook_secrets,
            # Connecting and the TLS handshake are timed apart: two thirds of the whole at most, so that
            # running out of time there is still known as "nothing was sent".
            connect_timeout=min(_CONNECT_AT_MOST, total / 3),
            read_timeout=_SILENCE_AT_MOST if self.timeout is None else total,
            total_timeout=total,
            confirm=self.confirm,
            events_per_minute=events_per_minute,
        )


class _Reader:
    """Reads one value after the other and gathers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def api_key(self, given: str | None) -> str | None:
        source, key = self._text("api_key", given, "PAGERDUTY_API_KEY")
        if key is None:
            return None
        if ROUTING_KEY.fullmatch(key):
            self.problems.append(
                f"{source} has 32 letters and digits: that is an integration key (routing key), not a REST API key. "
                "Create a REST key under Integrations > API Access Keys; integration keys belong in "
                "PAGERDUTY_SERVICE_KEY or routing_key."
            )
        elif not _HEADER_TEXT.fullmatch(key):
            self.problems.append(f"{source} holds blanks or characters that no key has. Copy the key again.")
        return key

    def service_key(self, given: str | None) -> str | None:
        source, key = self._text("service_key", given, "PAGERDUTY_SERVICE_KEY")
        if key is not None and not ROUTING_KEY.fullmatch(key):
            self.problems.append(f"{source} {describe_bad_routing_key(key)}")
        return key

    def default_from(self, given: str | None) -> str | None:
        source, address = self._text("default_from", given, "PAGERDUTY_FROM")
        if address is not None and not _EMAIL.fullmatch(address):
            self.problems.append(
                f"{source} is {address[:60]!r}, expected a PagerDuty user's e-mail address, such as ops@example.com."
            )
        return address

    def region(self, given: str | None) -> Region:
        source, name = self._text("region", given, "PAGERDUTY_REGION")
        folded = (name or "us").casefold()
        if folded not in _API_URLS:
            self.problems.append(
                f'{source} is {folded[:40]!r}, expected "us" or "eu". An account at *.eu.pagerduty.com is "eu".'
            )
            return "us"
        return cast(Region, folded)

    def url(self, name: str, given: str | None, variable: str, default: str) -> str:
        source, text = self._text(name, given, variable)
        if text is None:
            return default
        problem = _url_problem(text)
        if problem:
            self.problems.append(f"{source} {problem}. Write it like {default} or http://127.0.0.1:8080.")
        return text.rstrip("/")

    def webhook_secrets(self, given: Sequence[str] | None) -> tuple[str, ...]:
        if given is not None:
            listed: Sequence[object] = (given,) if isinstance(given, str) else given
            texts = tuple(item.strip() for item in listed if isinstance(item, str))
            if len(texts) != len(listed) or not all(texts):
                self.problems.append("webhook_secrets= holds something that is no text or is empty. Give the secrets.")
            return texts
        _, text = self._text("webhook_secrets", None, "PAGERDUTY_WEBHOOK_SECRET")
        return tuple(part for part in re.split(r"[,\s]+", text or "") if part)

    def timeout(self, given: timedelta | None) -> timedelta:
        if given is None:
            return _REQUEST_AT_MOST
        if not isinstance(given, timedelta) or given <= timedelta(0):
            self.problems.append(
                f"timeout= is {str(given)[:40]!r}, expected a time above zero. Write timedelta(seconds=30)."
            )
            return _REQUEST_AT_MOST
        return given

    def events_per_minute(self, given: int | None) -> int | None:
        source, text = "events_per_minute=", None if given is None else str(given)
        if given is None:
            source, text = self._text("events_per_minute", None, "PAGERDUTY_EVENTS_PER_MINUTE")
        if text is None:
            return None
        if isinstance(given, bool) or not re.fullmatch(r"[0-9]{1,9}", text) or int(text) == 0:
            self.problems.append(f"{source} is {text[:40]!r}, expected a whole number above zero, such as 120.")
            return None
        return int(text)

    def _text(self, name: str, given: str | None, variable: str) -> tuple[str, str | None]:
        """Where a value comes from, in the operator's words, and the trimmed value; empty counts as not given."""
        if given is not None:
            if not isinstance(given, str):
                self.problems.append(f"{name}= is of type {type(given).__name__}, expected text.")
                return f"{name}=", None
            if given.strip():
                return f"{name}=", given.strip()
        value = self._environ.get(variable, "").strip()
        if value:
            return variable, value
        path = self._environ.get(f"{variable}_FILE", "").strip()
        return (f"{variable}_FILE ({path})", self._file(variable, path)) if path else (variable, None)

    def _file(self, variable: str, path: str) -> str | None:
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            reason = (error.strerror or "cannot be read") if isinstance(error, OSError) else "is not UTF-8 text"
            self.problems.append(
                f"{variable}_FILE names {path}, which could not be read: {reason}. "
                f"Make it readable for this user, or set {variable}."
            )
            return None
        if not text:
            self.problems.append(f"{variable}_FILE names {path}, which is empty. Write the value into it.")
        return text or None


def describe_bad_routing_key(key: str) -> str:
    """Why a text is no routing key and where to find one, after the name of its source; never the key itself."""
    if REST_KEY.fullmatch(key):
        found = "has 20 characters: that looks like a REST API key, not an integration key (routing key)"
    elif len(key) == 32:
        found = "holds something other than letters and digits"
    else:
        found = f"has {len(key)} characters"
    return (
        f"{found}; expected 32 letters and digits. Copy the Integration Key of an Events API v2 integration "
        "(Services > your service > Integrations)."
    )


def _url_problem(text: str) -> str | None:
    """What is wrong with a base address; a password in it is never shown."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password, which would end up in logs"
    if parts.scheme not in ("http", "https") or not host:
        return f"is {text[:80]!r}, not an http or https address"
    if parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", text):
        return "has a query, a fragment or a blank in it"
    return None


def _without_events_path(url: str) -> str:
    """The base of an Events address, whether or not the documented path was copied along."""
    for path in _EVENTS_PATHS:
        if url.endswith(path):
            return url.removesuffix(path).rstrip("/")
    return url
