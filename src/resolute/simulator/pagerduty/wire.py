"""What crosses the wire: `SimRequest` in, `SimAnswer` out.

Neither knows a socket. The transport and the server translate them; everything else in the
simulator speaks only these two.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Api = Literal["events", "rest"]
"""Which of PagerDuty's two hosts a request would have gone to."""


@dataclass(frozen=True, slots=True)
class SimRequest:
    """One HTTP request.

    Attributes:
        method: upper case, e.g. "POST".
        target: path and query as sent, still percent-encoded, e.g. "/incidents?statuses%5B%5D=triggered".
        headers: one value per name; the case of names does not matter.
        body: the bytes as sent.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The decoded path without the query."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> list[tuple[str, str]]:
        """Decoded names and values in their order, empty values included."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def api(self) -> Api:
        """`events` for paths below `/v2/`, `rest` for all others; so one base URL can serve both."""
        return "events" if self.path.startswith("/v2/") else "rest"

    def header(self, name: str) -> str | None:
        """The header's value, None when it was not sent."""
        wanted = name.lower()
        return next((value for key, value in self.headers.items() if key.lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class SimAnswer:
    """One HTTP answer, or the lack of one.

    Attributes:
        status: HTTP status; 0 when `cut` or `refused`.
        headers: names and values in their order.
        body: the bytes of the answer.
        delay_s: seconds between the request's arrival and this answer.
        cut: close the connection instead of answering.
        refused: behave as if nothing listened at the address.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay_s: float = 0.0
    cut: bool = False
    refused: bool = False

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of this name, in any case, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_headers(self, *headers: tuple[str, str]) -> SimAnswer:
        """The same answer with more headers at the end."""
        return replace(self, headers=(*self.headers, *headers))


def json_answer(status: int, value: object) -> SimAnswer:
    """An answer whose body is `value` as JSON."""
    return SimAnswer(status, (("content-type", "application/json; charset=utf-8"),), json.dumps(value).encode())


def text_answer(status: int, text: str, *, kind: str = "text/plain") -> SimAnswer:
    """An answer whose body is plain text, or another textual `kind` such as "text/html"."""
    return SimAnswer(status, (("content-type", f"{kind}; charset=utf-8"),), text.encode())


def read_json(body: bytes) -> Any:
    """The body as strict JSON.

    Raises:
        ValueError: not UTF-8, not JSON, `NaN` or `Infinity` (which Python alone would take), or
            nested deeper than Python can follow.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
