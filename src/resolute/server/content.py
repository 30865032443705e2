"""What a delivery says: its body as the input of a run, and the id of its event.

Whatever comes from outside is bounded and strict: UTF-8, JSON without NaN, nested no deeper than `MAX_DEPTH`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from resolute.jsontypes import JsonValue
from resolute.model.webhook import HEADER, Delivery, Webhook

#: Lists and objects inside each other.
MAX_DEPTH: Final = 64
#: Fields of a form.
MAX_FIELDS: Final = 1000
#: Of an id that is longer, or is made of other characters, the digest stands in the run id.
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OPENING: Final = (b"[", b"{")


class Unusable(Exception):
    """A delivery that cannot become a run.

    Attributes:
        status: of the answer; the text says to the sender what was expected.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def read_content(delivery: Delivery) -> JsonValue:
    """The body as data: JSON or a form where the content type says so, else its text; None when it is empty.

    A field of a form that comes several times is a list.

    Raises:
        Unusable: it is not what its content type says, or nothing that can be read.
    """
    kind, _, parameters = delivery.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    charset = re.search(r'charset\s*=\s*"?([\w.-]+)', parameters)
    if kind.startswith("multipart/") or delivery.headers.get("content-encoding", "identity").lower() != "identity":
        raise Unusable(415, "Send JSON, a URL-encoded form or text, and do not compress it.")
    if charset is not None and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise Unusable(415, "Send it in UTF-8.")
    try:
        text = delivery.body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unusable(400, "The body is not UTF-8.") from None
    if not text:
        return None
    if kind == "application/json" or kind.endswith("+json"):
        return _json(delivery.body, text)
    if kind == "application/x-www-form-urlencoded":
        return _form(text)
    return text


def _json(body: bytes, text: str) -> JsonValue:
    if sum(map(body.count, _OPENING)) > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise Unusable(400, f"The JSON is nested deeper than {MAX_DEPTH}.")
    try:
        value: JsonValue = _STRICT.decode(text)
    except (ValueError, RecursionError):
        raise Unusable(400, "The content type says JSON, but the body is not JSON.") from None
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


_STRICT: Final = json.JSONDecoder(parse_constant=_no_number)


def _depth(text: str) -> int:
    """How deep a JSON text is nested; what stands in strings does not count."""
    deepest = depth = 0
    for mark in re.findall(r'"(?:[^"\\]|\\.)*+"?|[][{}]', text):
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest


def _form(text: str) -> JsonValue:
    fields: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Unusable(400, f"The form is not UTF-8, or has more than {MAX_FIELDS} fields.") from None
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def input_of(trigger: Webhook, delivery: Delivery, body: JsonValue) -> JsonValue:
    """The input of the run: the body, or the body and the headers that the trigger asks for."""
    if not trigger.headers:
        return body
    kept: dict[str, JsonValue] = {name: delivery.headers[name] for name in trigger.headers if name in delivery.headers}
    return {"body": body, "headers": kept}


def run_id_of(flow: str, trigger: Webhook, delivery: Delivery, body: JsonValue) -> str:
    """The id of the run that this event starts: the same for the same event, "FLOW:PATH-HASH:EVENT"."""
    path = hashlib.sha256(trigger.path.encode()).hexdigest()[:8]
    return f"{flow}:{path}:{_event(trigger, delivery, body)}"


def _event(trigger: Webhook, delivery: Delivery, body: JsonValue) -> str:
    given = _given_id(trigger.id_place, delivery, body)
    if given is None:
        stamp = "" if trigger.signature is None else trigger.signature.stamp(delivery)
        return _hashed(b"body", stamp.encode(), delivery.body)
    return given if _PLAIN_ID.fullmatch(given) else _hashed(b"id", given.encode("utf-8", "surrogatepass"))


def _given_id(place: str | None, delivery: Delivery, body: JsonValue) -> str | None:
    """The id that the sender gave the event, None where it gave none."""
    if place is None:
        return None
    if place.startswith(HEADER):
        return delivery.headers.get(place.removeprefix(HEADER).lower()) or None
    found: Any = body
    for step in place.split("."):
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    is_id = isinstance(found, str | int) and not isinstance(found, bool)
    return str(found) or None if is_id else None


def _hashed(*parts: bytes) -> str:
    """A digest that no plain id looks like."""
    return "~" + hashlib.sha256(b"\n".join(parts)).hexdigest()
