"""Texts as PostgreSQL can hold them: it knows neither the character NUL nor half a surrogate pair.

NUL is written as the control character DLE and "0", a DLE itself twice, and read back as it was. Half a pair becomes
the six characters of its escape, as in SQLite.
"""

from __future__ import annotations

import re
from typing import Any, Final

_DLE: Final = "\x10"
_WRITTEN: Final = re.compile("\x10(.)", re.DOTALL)


def written(value: Any) -> Any:
    """The value as it is written; all but a text as it is."""
    if not isinstance(value, str):
        return value
    if not value.isascii():
        value = value.encode("utf-8", "backslashreplace").decode("utf-8")
    if _DLE in value or "\0" in value:
        value = value.replace(_DLE, _DLE + _DLE).replace("\0", _DLE + "0")
    return value


def read(text: str) -> str:
    """The text that was written."""
    return _WRITTEN.sub(_meant, text) if _DLE in text else text


def _meant(found: re.Match[str]) -> str:
    return "\0" if found.group(1) == "0" else _DLE
