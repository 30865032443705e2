"""The input of a run as it is given on the command line: `--input key=value` and `--input-file`."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from resolute.errors import ConfigError


def read_input(pairs: Sequence[str], file: str | None, texts: Collection[str] = ()) -> Any:
    """The input that was given, None when none was.

    Args:
        pairs: "key=value"; a value is read as JSON where it is JSON, else it is text. A dot leads inside:
            "incident.id=7". They go before what stands in the file.
        file: path of a JSON or TOML file, "-" for JSON on standard input.
        texts: keys whose values are text even where they look like JSON.

    Raises:
        ConfigError: one of them cannot be read.
    """
    found = _read_file(file) if file is not None else None
    if not pairs:
        return found
    if found is None:
        found = {}
    if not isinstance(found, dict):
        raise ConfigError(f"{file} holds no object, so --input cannot add to it. Give one of the two.")
    for pair in pairs:
        key, separator, value = pair.partition("=")
        path = key.strip().split(".")
        if not separator or not all(path):
            raise ConfigError(f"--input {pair.partition('=')[0]!r} is no key=value. Write --input title='Disk full'.")
        _put(found, path, value if key.strip() in texts else _value(value))
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _put(target: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *folders, name = path
    for folder in folders:
        inner = target.setdefault(folder, {})
        if not isinstance(inner, dict):
            raise ConfigError(f'--input {".".join(path)}=... leads into "{folder}", which is no object.')
        target = inner
    target[name] = value


def _read_file(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return tomllib.loads(text) if file.endswith(".toml") else json.loads(text)
    except OSError as error:
        raise ConfigError(f"--input-file {file} cannot be read: {error.strerror}. Give a JSON or TOML file.") from error
    except (ValueError, RecursionError) as error:
        kind = "TOML" if file.endswith(".toml") else "JSON"
        raise ConfigError(f"--input-file {file} is no {kind}: {error}. Mend it, or give --input key=value.") from error
