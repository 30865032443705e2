"""Secrets: read by name, masked when shown, scrubbed from what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from resolute.errors import ConfigError
from resolute.secrets import Secrets, digest, lookup, mask

SPECIAL = "a/b+c d\\slash\"'&%"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0123456789abcdef", "•••• cdef"),
        ("short", "••••"),
        ("", "••••"),
        ("12345678", "••••"),
        ("123456789012", "•••• 9012"),
    ],
)
def test_a_masked_secret_shows_four_characters_at_most(value: str, shown: str) -> None:
    """A short secret shows nothing: its last four characters would be most of it."""
    assert mask(value) == shown


def test_a_digest_tells_secrets_apart_only_with_its_key() -> None:
    """The same secret has the same digest in one store and another one elsewhere."""
    assert digest("a", b"key") == digest("a", b"key") != digest("b", b"key")
    assert digest("a", b"key") != digest("a", b"other")


def test_a_secret_comes_from_its_variable_or_from_a_file(tmp_path: Path) -> None:
    """The variable goes first; blanks around the value do not count."""
    file = tmp_path / "key"
    file.write_text("from-file\n")
    assert lookup("KEY", {"KEY": " from-variable ", "KEY_FILE": str(file)}) == "from-variable"
    assert lookup("KEY", {"KEY": " ", "KEY_FILE": str(file)}) == "from-file"
    assert lookup("KEY", {}) is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """The text says which variable names which file."""
    with pytest.raises(ConfigError, match=r"KEY_FILE names a file that cannot be read \(FileNotFoundError"):
        lookup("KEY", {"KEY_FILE": str(tmp_path / "none")})


def test_a_missing_secret_says_how_to_set_it() -> None:
    """What happened and the fix, in one text."""
    with pytest.raises(ConfigError, match=r"The secret KEY is not set\. Set the variable KEY, or KEY_FILE"):
        Secrets({}).read("KEY")


def test_what_was_read_is_scrubbed_from_texts_and_json() -> None:
    """Also where JSON writes the secret with escapes."""
    value = 'quote"and\\slash-é'
    secrets = Secrets({"KEY": value})
    secrets.read("KEY")
    assert secrets.scrub(f"before {value} after") == "before •••• after"
    kept = secrets.scrub_json(json.dumps({"error": f"key {value}!"}))
    assert json.loads(kept) == {"error": "key ••••!"}


def test_short_values_are_left_alone() -> None:
    """Scrubbing "on" would blank half of a log."""
    secrets = Secrets({"FLAG": "on"})
    secrets.read("FLAG")
    assert secrets.scrub("turned on") == "turned on"


def test_of_a_secret_that_another_begins_with_nothing_is_left() -> None:
    """Whichever was known first."""
    secrets = Secrets({})
    for value in ("abcdefgh", "abcdefgh12345678", "abcdefgh1234"):
        secrets.remember(value)
    assert secrets.scrub("abcdefgh12345678 abcdefgh1234 abcdefgh") == "•••• •••• ••••"


@pytest.mark.parametrize(
    "written",
    [
        repr(KeyError(SPECIAL)),
        json.dumps({"token": SPECIAL}),
        json.dumps({"token": SPECIAL}, ensure_ascii=False),
        f"https://host/?token={quote(SPECIAL, safe='')}",
        f"https://host/{quote(SPECIAL)}",
        urlencode({"token": SPECIAL}),
    ],
)
def test_secret_is_scrubbed_however_it_is_written(written: str) -> None:
    """As an exception, JSON or a URL writes it."""
    secrets = Secrets({})
    secrets.remember(SPECIAL)
    assert "slash" not in secrets.scrub(written)
    assert "••••" in secrets.scrub(written)
