"""`Visits`: GET requests that ask an address whether it answers, and what keeps it from it. No event is ever sent."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import httpx2

from resolute.clock import Clock

#: For the connection, and again for each silence.
TIMEOUT_S: Final = 5.0
# Source: PagerDuty REST API v2, "Versioning".
_ACCEPT: Final = "application/vnd.pagerduty+json;version=2"


@dataclass(frozen=True)
class Visit:
    """What came of one request.

    Attributes:
        status: of the answer; None when there was none.
        data: its body as JSON; None when it is no JSON.
        ahead_s: how far this machine's clock is ahead of the server's; None when the answer has no date.
        silence: why there was no answer, a sentence.
        fix: what to do about that.
    """

    status: int | None = None
    data: Any = None
    ahead_s: float | None = None
    silence: str = ""
    fix: str = ""


class Visits:
    """Makes each request once. Proxies and certificates come from the environment, as for a worker."""

    def __init__(self, clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._made: dict[tuple[str, tuple[tuple[str, str], ...], str | None], Visit] = {}

    def get(self, url: str, params: Mapping[str, str] | None = None, *, api_key: str | None = None) -> Visit:
        """The answer to a GET; the one from before when it was asked already."""
        asked = (url, tuple((params or {}).items()), api_key)
        if asked not in self._made:
            self._made[asked] = self._get(url, dict(params or {}), api_key)
        return self._made[asked]

    @property
    def made(self) -> dict[str, Visit]:
        """Every answer so far, by the host that it came from."""
        return {urlsplit(url).netloc: visit for (url, _, _), visit in self._made.items()}

    def _get(self, url: str, params: dict[str, str], api_key: str | None) -> Visit:
        headers = {"User-Agent": "resolute", "Accept": _ACCEPT}
        if api_key is not None:
            # `token=` belongs to the value. Source: PagerDuty REST API v2, "Authentication".
            headers["Authorization"] = f"Token token={api_key}"
        begun = self._clock.now()
        try:
            with httpx2.Client(timeout=self._timeout_s, follow_redirects=False) as http:
                response = http.get(url, params=params or None, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, ImportError) as error:
            return Visit(silence=_silence(url, error), fix=_fix(url, error))
        middle = begun + (self._clock.now() - begun) / 2
        if response.status_code == 407:
            return Visit(407, silence=f"{_way(url)} asks for a password.", fix="Write http://USER:PASSWORD@HOST there.")
        date = _date(response.headers.get("date"))
        return Visit(response.status_code, _json(response), None if date is None else (middle - date).total_seconds())


def _json(response: httpx2.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _date(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _proxy(url: str) -> tuple[str, str] | None:
    """The variable that names the proxy for an address, and the proxy without its password."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    proxies = getproxies_environment()
    for kind in (parts.scheme, "all"):
        if kind in proxies:
            names = [name for name in (f"{kind}_proxy", f"{kind}_proxy".upper()) if os.environ.get(name)]
            proxy = proxies[kind].rpartition("@")[2]
            return (names or [f"{kind.upper()}_PROXY"])[0], proxy.removeprefix(f"{parts.scheme}://")
    return None


def _way(url: str) -> str:
    """Who was asked for the connection, as the beginning of a sentence."""
    proxy = _proxy(url)
    return urlsplit(url).netloc if proxy is None else f"The proxy {proxy[1]}, which {proxy[0]} names,"


def _silence(url: str, error: Exception) -> str:
    host = urlsplit(url).netloc
    way = _way(url)
    causes = list(_causes(error))
    for cause in causes:
        match cause:
            case socket.gaierror():
                return f"{way} was not found: {cause.strerror}."
            case ConnectionRefusedError():
                return f"{way} refused the connection."
            case ssl.SSLCertVerificationError():
                return f"The certificate of {host} is not trusted here: {cause.verify_message}."
            case ssl.SSLError():
                return f"{host} was asked by https and does not speak TLS: {cause.reason or cause}."
            case httpx2.TimeoutException():
                return f"{way} did not answer in {TIMEOUT_S:g} s."
            case httpx2.ProxyError():
                return f"{way} would not connect to {host}: {cause}."
            case FileNotFoundError() | NotADirectoryError() | PermissionError() if os.environ.get("SSL_CERT_FILE"):
                return f"SSL_CERT_FILE names {os.environ['SSL_CERT_FILE']}, which cannot be read: {cause.strerror}."
    return f"{way} could not be asked: {type(error).__name__}."


def _fix(url: str, error: Exception) -> str:
    proxy = _proxy(url)
    if proxy is not None:
        host = urlsplit(url).hostname
        return f"Correct or unset {proxy[0]}; NO_PROXY={host} goes past the proxy."
    for cause in _causes(error):
        match cause:
            case socket.gaierror():
                return "Check the address for a slip, and the DNS of this machine or container."
            case ConnectionRefusedError():
                return "Check host and port of the address, and whether something listens there."
            case ssl.SSLCertVerificationError():
                return (
                    "Install the package ca-certificates (slim images have none), or name your own authority's "
                    "certificates: SSL_CERT_FILE=/path/ca.pem."
                )
            case ssl.SSLError():
                return "Check the port, or write http:// for a simulator on this machine."
            case httpx2.TimeoutException():
                return "Check the firewall, and whether a proxy is needed: HTTPS_PROXY=http://HOST:PORT."
            case FileNotFoundError() | NotADirectoryError() | PermissionError() if os.environ.get("SSL_CERT_FILE"):
                return "Let SSL_CERT_FILE name a file of certificates, or unset it."
    return "Check the address, the network and the proxy variables."
