"""Values that are too large for a journal entry: kept once as rows of their own, and handed on by reference.

Wherever the journal holds JSON text it may hold a reference instead: a mark, the digest and the size.
JSON never begins with the mark.
"""

from __future__ import annotations

import hashlib
from typing import Final

#: A longer JSON text is kept apart.
LARGE_CHARS: Final = 64 * 1024
#: What a reference begins with.
LARGE_MARK: Final = "@sha256:"


def digest_of(text: str) -> str:
    """SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def refer(text: str) -> str:
    """The reference to a text."""
    return f"{LARGE_MARK}{digest_of(text)}:{len(text)}"


def referred(text: str) -> str | None:
    """The digest that a text refers to, None for one that is the value itself."""
    if not text.startswith(LARGE_MARK):
        return None
    return text.removeprefix(LARGE_MARK).partition(":")[0]


def size_of(reference: str) -> int:
    """The characters of the value that is referred to."""
    return int(reference.rpartition(":")[2])
