"""Secrets: read by name where an attempt is made, masked when shown, scrubbed from what is recorded."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

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
        self._forms: tuple[str, ...] = ()  # replaced whole: threads scrub while others remember

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
        """Scrub this value from now on, also as JSON, Python's repr and URLs write it."""
        if len(value) < SCRUBBED_FROM or value in self._forms:
            return
        forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
        if value.isascii():
            forms |= {quote(value, safe=""), quote(value), quote_plus(value)}
        # The longest first: of a secret that another one begins with nothing may be left.
        self._forms = tuple(sorted(forms.union(self._forms), key=lambda form: (-len(form), form)))

    def scrub(self, text: str) -> str:
        """The text with dots in place of every known secret."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, "••••")
        return text

    def scrub_json(self, text: str) -> str:
        """JSON text in ASCII with dots in place of every known secret."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, "\\u2022\\u2022\\u2022\\u2022")
        return text
