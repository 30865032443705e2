"""No content costs a page: whatever a flow gives, an event that PagerDuty takes, and what was mended.

PagerDuty refuses an event for a long summary, a severity in capitals, a NaN, a picture over http or
half a megabyte of details, each with a 400 that no retry mends. So the content is mended before it is
sent and every mend is told in a remark. Pure functions: the same fields give the same event.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from resolute.jsontypes import JsonObject, JsonValue
from resolute.providers.pagerduty.payloads import EventAction
from resolute.providers.pagerduty.plain import Mends, PlainMaker, TooManyValues, mend_text

# Limits as PagerDuty documents them (Events API v2, "Send an Alert Event"): it never cuts, it refuses.
SUMMARY_CHARACTERS: Final = 1_024
DEDUP_KEY_CHARACTERS: Final = 255
EVENT_BYTES: Final = 512_000

SEVERITIES: Final = ("critical", "error", "warning", "info")
NO_SUMMARY: Final = "(no summary)"

_LATE_ROOM_BYTES: Final = 100  # kept free for the words that `late_summary` puts in front
# With every other text at 1,024 characters (12 bytes each at worst) this much still fits beside them.
_FULL_SUMMARY_BYTES: Final = 384_000
_SHORT_TEXT_CHARACTERS: Final = 1_024
_KEY_HEAD_CHARACTERS: Final = 190  # with ":" and 64 digits of SHA-256: 255
_PLACE_OF_ROUTING_KEY: Final = "0" * 32
_ISO_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True)
class MendedEvent:
    """An event that PagerDuty takes.

    Attributes:
        event: the request's JSON body but for `routing_key`.
        dedup_key: the alert's name as it is sent.
        title: the summary as it is sent; of an acknowledge or resolve, what it does to which alert.
        remarks: one sentence for each thing that was mended.
    """

    event: JsonObject
    dedup_key: str
    title: str
    remarks: tuple[str, ...]


def mend_event(action: EventAction, fields: Mapping[str, object], *, dedup_key: str, flow: str) -> MendedEvent:
    """The event for these fields; never raises, whatever they hold.

    Args:
        fields: of a trigger: summary, source, severity, component, group, class_, custom_details, links,
            images, client, client_url, timestamp. Acknowledge and resolve carry none, as PagerDuty
            would check a payload there too and could refuse for it.
        dedup_key: name of the alert, chosen before the first attempt.
        flow: name of the flow; stands in for an empty source.
    """
    key, key_remark = mend_dedup_key(dedup_key)
    event: JsonObject = {"event_action": action}
    if key:
        event["dedup_key"] = key
    if action != "trigger":
        return MendedEvent(event, key, f"{action} {key}", (key_remark,) if key_remark else ())
    mender = _TriggerMender(fields, flow)
    mender.fill(event)
    mender.fit(event)
    payload = cast(JsonObject, event["payload"])
    remarks = [*([key_remark] if key_remark else []), *mender.mends.sentences(), *mender.remarks]
    return MendedEvent(event, key, str(payload["summary"]), tuple(remarks))


def mend_dedup_key(key: str) -> tuple[str, str | None]:
    """A key that PagerDuty takes, the same for the same text, and a remark if it had to be shortened."""
    text = mend_text(key)
    if text == key and len(text) <= DEDUP_KEY_CHARACTERS:
        return text, None
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    short = f"{text[:_KEY_HEAD_CHARACTERS]}:{digest}"
    fault = f"of {len(key)} characters" if len(text) > DEDUP_KEY_CHARACTERS else "with half a character"
    return short, f"dedup_key {fault} replaced by one of {len(short)}, its end the SHA-256 of the whole"


def late_summary(event: JsonObject, late: timedelta) -> JsonObject:
    """A copy of the event whose summary begins with how late it is: "[48 min late] Disk full".

    Under a minute, and for an acknowledge or resolve, it is the same event.
    """
    payload = event.get("payload")
    minutes = int(late / timedelta(minutes=1))
    if not isinstance(payload, dict) or minutes < 1:
        return dict(event)
    hours, days = minutes // 60, minutes // (60 * 24)
    if days:
        span = f"{days} d {hours % 24} h"
    elif hours:
        span = f"{hours} h {minutes % 60} min"
    else:
        span = f"{minutes} min"
    summary = f"[{span} late] {payload.get('summary', NO_SUMMARY)}"
    return {**event, "payload": {**payload, "summary": summary[:SUMMARY_CHARACTERS]}}


def encode_event(event: JsonObject, routing_key: str) -> bytes:
    """The request body: JSON in ASCII, so that its length in bytes is known to every reader."""
    return encode_body({"routing_key": routing_key, **event})


def encode_body(value: JsonValue) -> bytes:
    """JSON in ASCII, as every request body is written."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


class _TriggerMender:
    """Mends the fields of one trigger; `remarks` and `mends` gather what it changed."""

    def __init__(self, fields: Mapping[str, object], flow: str) -> None:
        self._fields = fields
        self._flow = flow
        self.mends = Mends()
        self.remarks: list[str] = []
        self._maker = PlainMaker(self.mends)
        self._full_summary: JsonObject = {}
        self._details_left_out = False

    def fill(self, event: JsonObject) -> None:
        """Put payload, links, images and client into the event."""
        payload: JsonObject = {"summary": self._summary(), "source": self._source(), "severity": self._severity()}
        timestamp = self._timestamp()
        if timestamp:
            payload["timestamp"] = timestamp
        for name, field in (("component", "component"), ("group", "group"), ("class", "class_")):
            text = self._text(field)
            if text.strip():
                payload[name] = text
        details = self._details()
        if self._full_summary:
            kept = "full_summary" if "full_summary" not in details else "resolute_full_summary"
            self._full_summary = {kept: self._full_summary["full_summary"]}
        if details or self._full_summary:
            payload["custom_details"] = {**details, **self._full_summary}
        event["payload"] = payload
        for name, items in (("links", self._links()), ("images", self._images())):
            if items:
                event[name] = items
        for name in ("client", "client_url"):
            text = self._text(name)
            if text.strip():
                event[name] = text

    def fit(self, event: JsonObject) -> None:
        """Leave out, then cut, what makes the event larger than PagerDuty takes, the least needed first."""
        payload = cast(JsonObject, event["payload"])
        if _is_too_large(event):
            details = cast(JsonObject, payload.get("custom_details", {}))
            own = {name: value for name, value in details.items() if name not in self._full_summary}
            if own and not self._details_left_out:
                note = f"details left out: {len(encode_body(own)):,} bytes, the limit is {EVENT_BYTES:,}"
                payload["custom_details"] = {"resolute": note, **self._full_summary}
                self.remarks.append(f"custom_{note} for the whole event")
        for name in ("images", "links"):
            if name in event and _is_too_large(event):
                self.remarks.append(f"{name} left out, the event was over {EVENT_BYTES:,} bytes")
                del event[name]
        if _is_too_large(event):
            for part, name in (
                *((payload, name) for name in ("source", "component", "group", "class")),
                *((event, name) for name in ("client", "client_url")),
            ):
                text = part.get(name)
                if isinstance(text, str) and len(text) > _SHORT_TEXT_CHARACTERS:
                    part[name] = text[:_SHORT_TEXT_CHARACTERS]
                    self.remarks.append(f"{name} cut from {len(text)} to {_SHORT_TEXT_CHARACTERS} characters")

    def _text(self, name: str) -> str:
        return self._maker.text(self._fields.get(name), name)

    def _summary(self) -> str:
        text = self._text("summary").strip()
        given = self._fields.get("summary")
        if text and not isinstance(given, str):
            self.remarks.append(f"summary is no text but {type(given).__name__}, written out as it would stand in JSON")
        if not text:
            self.remarks.append(f'summary missing, sent as "{NO_SUMMARY}"')
            return NO_SUMMARY
        if len(text) <= SUMMARY_CHARACTERS:
            return text
        self.remarks.append(
            f"summary cut from {len(text)} to {SUMMARY_CHARACTERS} characters, the whole is in custom_details"
        )
        whole = _cut_to_bytes(text, _FULL_SUMMARY_BYTES)
        if whole != text:
            self.remarks.append(f"full summary in custom_details cut from {len(text)} to {len(whole)} characters")
        self._full_summary = {"full_summary": whole}
        return text[:SUMMARY_CHARACTERS]

    def _source(self) -> str:
        source = self._text("source").strip()
        if source:
            return source
        stand_in = mend_text(self._flow).strip() or "resolute"
        self.remarks.append(f'source missing, sent as "{stand_in[:100]}"')
        return stand_in

    def _severity(self) -> str:
        given = self._text("severity")
        folded = given.strip().casefold()
        if folded not in SEVERITIES:
            what = f'severity "{given.strip()[:40]}" is none of {", ".join(SEVERITIES)}' if folded else "no severity"
            self.remarks.append(f'{what}, sent as "error"')
            return "error"
        if given != folded:
            self.remarks.append(f'severity "{given[:40]}" sent as "{folded}"')
        return folded

    def _timestamp(self) -> str | None:
        """ISO 8601 with offset. PagerDuty refuses other spellings, such as an hour of one digit."""
        given = self._fields.get("timestamp")
        instant = given if issubclass(type(given), datetime) else None
        text = ""
        if instant is None:
            text = self._text("timestamp").strip()
            if not text:
                return None
            try:
                instant = datetime.fromisoformat(text)
            except ValueError:
                self._drop_timestamp(text)
                return None
        moment = cast(datetime, instant)
        if moment.utcoffset() is None:
            self.remarks.append("timestamp without an offset read as UTC")
            moment = moment.replace(tzinfo=UTC)
        if _ISO_INSTANT.fullmatch(text):
            return text
        try:
            return moment.astimezone(UTC).isoformat()
        except OverflowError:  # year 1 or 9999, beyond the calendar once moved to UTC
            self._drop_timestamp(moment.isoformat())
            return None

    def _drop_timestamp(self, text: str) -> None:
        self.remarks.append(f'timestamp "{text[:40]}" left out, it is no ISO 8601 time (2026-01-31T05:01:32Z)')

    def _details(self) -> JsonObject:
        given = self._fields.get("custom_details")
        try:
            details = self._maker.plain(given, "custom_details")
        except TooManyValues:
            self._details_left_out = True
            note = f"details left out: more than {EVENT_BYTES:,} bytes, which is the limit"
            self.remarks.append(f"custom_{note} for the whole event")
            return {"resolute": note}
        if details is None or details in ("", [], {}):
            return {}
        if isinstance(details, dict):
            return details
        self.remarks.append(f'custom_details was {_kind(details)}, not an object; sent as its entry "details"')
        return {"details": details}

    def _links(self) -> list[JsonValue]:
        kept: list[JsonValue] = []
        items = self._items("links")
        for item in items:
            link = self._texts(item, "links", ("href", "text"))
            if "href" in link:
                kept.append(link)
        if len(kept) < len(items):
            self.remarks.append(f"{_counted(len(items) - len(kept), 'link')} without href left out")
        return kept

    def _images(self) -> list[JsonValue]:
        kept: list[JsonValue] = []
        items = self._items("images")
        for item in items:
            image = self._texts(item, "images", ("src", "href", "alt"))
            if str(image.get("src", "")).casefold().startswith("https://"):
                kept.append(image)
        if len(kept) < len(items):
            self.remarks.append(f"{_counted(len(items) - len(kept), 'image')} without an https src left out")
        return kept

    def _items(self, name: str) -> list[JsonValue]:
        try:
            items = self._maker.plain(self._fields.get(name), name)
        except TooManyValues:
            self.remarks.append(f"{name} left out, they are too many")
            return []
        if items is None or items == "":
            return []
        return items if isinstance(items, list) else [items]

    def _texts(self, item: JsonValue, where: str, names: tuple[str, ...]) -> JsonObject:
        """The entry's known parts as text, empty ones left out; a bare text is the first of them."""
        parts = item if isinstance(item, dict) else {names[0]: item}
        texts = {name: self._maker.text(parts.get(name), where).strip() for name in names}
        return {name: text for name, text in texts.items() if text}


def _is_too_large(event: JsonObject) -> bool:
    return len(encode_event(event, _PLACE_OF_ROUTING_KEY)) > EVENT_BYTES - _LATE_ROOM_BYTES


def _cut_to_bytes(text: str, size_bytes: int) -> str:
    """The longest beginning of the text that takes at most so many bytes in JSON."""
    head = text[:size_bytes]  # a character takes a byte at least
    fitting = bisect_right(range(len(head) + 1), size_bytes, key=lambda length: len(encode_body(head[:length])))
    return head[: fitting - 1]


def _kind(value: JsonValue) -> str:
    names = {list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "something else")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
