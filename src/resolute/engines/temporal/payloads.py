"""How values travel to Temporal and back: the journal's own JSON, without secrets, large ones by reference.

Every payload and every failure of a process passes here, so that no secret it knows can reach a history.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import (
    BinaryNullPayloadConverter,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverter,
    EncodingPayloadConverter,
    PayloadCodec,
    PayloadConverter,
)

from resolute.engines.embedded.large import LARGE_CHARS, digest_of
from resolute.engines.temporal.order import ATTEMPT_FAILED, NODE_FAILED, POSTPONED, RUN_FAILED
from resolute.errors import StoreDamaged
from resolute.model.codec import from_text, to_text
from resolute.secrets import Secrets

#: How a payload says that its value is kept apart; its data is the digest.
LARGE: Final = b"resolute/large"

#: What marks a payload that no history keeps: it goes to who has asked, wherever that is.
ANSWER: Final = "resolute/answer"
#: An answer that is longer is kept apart as well; a server takes 2 MB at most.
ANSWER_CHARS: Final = 1_000_000

#: Failures that say all there is to say in their message.
OWN_FAILURES: Final = frozenset({RUN_FAILED, NODE_FAILED, ATTEMPT_FAILED, POSTPONED})
#: Keeps a large text by its digest; reads one, raising StoreDamaged where it is not to be had.
KeepLarge = Callable[[str, str], Awaitable[None]]
ReadLarge = Callable[[str], Awaitable[str]]


class JournalJson(EncodingPayloadConverter):
    """JSON as the journal writes it, in which NaN and lone surrogates survive."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"json/plain"}, data=to_text(value).encode("ascii"))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return from_text(payload.data.decode("utf-8"))


class JournalPayloads(CompositePayloadConverter):
    """Nothing, or the journal's JSON: only plain data travels."""

    def __init__(self) -> None:
        super().__init__(BinaryNullPayloadConverter(), JournalJson())


class Clean(PayloadCodec):
    """Takes the secrets that this process knows out of every payload, and keeps large ones apart.

    Args:
        keep, read: where large values are kept; None where this process has no store: it sends them whole.
    """

    def __init__(self, secrets: Secrets, keep: KeepLarge | None = None, read: ReadLarge | None = None) -> None:
        self._secrets = secrets
        self._keep = keep
        self._read = read

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [await self._encoded(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [await self._decoded(payload) for payload in payloads]

    async def _encoded(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != b"json/plain":
            return payload
        text = self._secrets.scrub_json(payload.data.decode("ascii"))
        most = ANSWER_CHARS if ANSWER in payload.metadata else LARGE_CHARS
        if len(text) > most and self._keep is not None:
            digest = digest_of(text)
            await self._keep(digest, text)
            return Payload(metadata={"encoding": LARGE, "size": b"%d" % len(text)}, data=digest.encode())
        return Payload(metadata=payload.metadata, data=text.encode("ascii"))

    async def _decoded(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != LARGE:
            return payload
        digest = payload.data.decode()
        if self._read is None:
            raise StoreDamaged(
                f"A large value (sha256 {digest}) is kept in the store of a worker, which this process does not have. "
                "Set RESOLUTE_STORE to that store."
            )
        text = await self._read(digest)
        return Payload(metadata={"encoding": b"json/plain"}, data=text.encode("ascii"))


def data_converter(secrets: Secrets, keep: KeepLarge | None = None, read: ReadLarge | None = None) -> DataConverter:
    """How this process writes and reads what Temporal keeps."""

    class CleanFailures(DefaultFailureConverter):
        """Failures without the secrets that this process knows."""

        def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure) -> None:
            super().to_failure(exception, payload_converter, failure)
            part = failure
            while True:
                part.message = secrets.scrub(part.message)
                is_ours = part.application_failure_info.type in OWN_FAILURES
                part.stack_trace = "" if is_ours else secrets.scrub(part.stack_trace)  # ours leads only to ourselves
                if not part.HasField("cause"):
                    return
                part = part.cause

    return DataConverter(
        payload_converter_class=JournalPayloads,
        failure_converter_class=CleanFailures,
        payload_codec=Clean(secrets, keep, read),
    )
