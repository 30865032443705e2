"""Ids and keys that look like PagerDuty's, drawn from one source of randomness."""

from __future__ import annotations

from uuid import UUID

from resolute.clock import Randomness

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


class Ids:
    """Makes ids; the same randomness gives the same ids in the same order."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    def new(self, first: str) -> str:
        """An id of 14 upper-case characters: `first` ("P" or "Q") and 13 at random."""
        value = self._randomness.getrandbits(67)
        digits = []
        for _ in range(13):
            value, digit = divmod(value, 36)
            digits.append(_DIGITS[digit])
        return first + "".join(digits)

    def hex(self, length: int = 32) -> str:
        """A lower-case hexadecimal text: a routing key, a generated dedup key or a request id."""
        return f"{self._randomness.getrandbits(4 * length):0{length}x}"

    def event(self) -> str:
        """An id of a webhook event, 26 upper-case characters."""
        return "".join(_DIGITS[self._randomness.getrandbits(5)] for _ in range(26))

    def uuid(self) -> str:
        """A random UUID, as webhook deliveries have."""
        return str(UUID(int=self._randomness.getrandbits(128), version=4))

    def token(self) -> str:
        """A REST API key of 20 characters."""
        return "".join(_TOKEN[self._randomness.getrandbits(6)] for _ in range(20))


def masked(key: str) -> str:
    """A key as it may be shown: dots and its last four characters."""
    return f"•••• {key[-4:]}" if len(key) > 8 else "••••"
