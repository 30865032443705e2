"""Places among a node's inputs that are filled for the attempt alone: secrets by name, large values by reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from resolute.model.refs import SecretName

Path = list[str | int]


def take_secrets(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[Path, str]]]:
    """The inputs with None in place of each secret, and where which secret belongs."""
    found: list[tuple[Path, str]] = []

    def take(value: Any, path: Path) -> Any:
        match value:
            case SecretName():
                found.append((path, value.name))
                return None
            case dict():
                return {key: take(inner, [*path, key]) for key, inner in value.items()}
            case list() | tuple():
                return [take(inner, [*path, index]) for index, inner in enumerate(value)]
            case _:
                return value

    if not any(True for value in values.values() for _ in _secrets_in(value)):
        return dict(values), []
    return {name: take(value, [name]) for name, value in values.items()}, found


def fill_places(values: dict[str, Any], places: list[tuple[Path, str]], read: Callable[[str], Any]) -> dict[str, Any]:
    """The inputs with what belongs there in each place; changes `values`.

    Args:
        read: the value of a name.
    """
    for path, name in places:
        target: Any = values
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = read(name)
    return values


def _secrets_in(value: Any) -> Iterator[SecretName]:
    match value:
        case SecretName():
            yield value
        case dict():
            for inner in value.values():
                yield from _secrets_in(inner)
        case list() | tuple():
            for inner in value:
                yield from _secrets_in(inner)
