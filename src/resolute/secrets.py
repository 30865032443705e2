"""Secrets: read by name where an attempt is made, masked when shown, scrubbed from what is recorded."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from resolute.errors import ConfigError

#: Shorter values are not scrubbed: they would blank ordinary words.
SCRUBBED_FROM: Final = 8
#: Of shorter ones not even four characters are shown.
SHOWN_FROM: Final = 12


def mask(value: str) -> str:
    """A secret as it may be shown: dots and its last four characters, dots alone when it is short."""
    return f"•••• {value[-4:]}" if len(value) >= SHOWN_FROM else "••••"


def digest(value: str, key: bytes) -> str:
    """Tells two secrets apart without naming either: HMAC-SHA256, the first 32 hex digits."""
    return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:32]


def lookup(name: str, environ: Mapping[str, str]) -> str | None:
    """The value of a secret from the variable `name`, or the file that `name_FILE` names; None when neither is set.

    Raises:
        ConfigError: the file cannot be read.
    """
    value = environ.get(name, "").strip()
    if value:
        return value
    path = environ.get(f"{name}_FILE", "").strip()
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{name}_FILE names a file that cannot be read ({error.__class__.__name__}: {path}). "
            f"Let it name a text file with the secret, or set {name} itself."
        ) from None


class Secrets:
    """Reads secrets by name and takes every value it has read out of texts that are kept."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._values: dict[str, str] = {}

    def read(self, name: str) -> str:
        """The secret's value now.

        Raises:
            ConfigError: it is not set.
        """
        value = lookup(name, self._environ)
        if value is None:
            raise ConfigError(
                f"The secret {name} is not set. Set the variable {name}, or {name}_FILE to a file's path."
            )
        self.remember(value)
        return value

    def has(self, name: str) -> bool:
        """Whether the secret is set and readable."""
        return lookup(name, self._environ) is not None

    def remember(self, value: str) -> None:
        """Scrub this value from now on."""
        if len(value) >= SCRUBBED_FROM and value not in self._values:
            self._values[value] = "••••"
            escaped = json.dumps(value)[1:-1]
            self._values.setdefault(escaped, "••••")

    def scrub(self, text: str) -> str:
        """The text with dots in place of every known secret."""
        for value, dots in self._values.items():
            if value in text:
                text = text.replace(value, dots)
        return text

    def scrub_json(self, text: str) -> str:
        """JSON text in ASCII with dots in place of every known secret."""
        for value in self._values:
            if value in text:
                text = text.replace(value, "\\u2022\\u2022\\u2022\\u2022")
        return text
