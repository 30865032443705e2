"""`source_of`: what a test in the form of a function looks like in its author's file.

Nothing is run and nothing is trusted: a file that has changed since it was imported is not quoted.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType
from typing import Any, Final

#: Characters of a lambda that can still be read at a glance.
LONGEST: Final = 200
UNKNOWN: Final = "a function of the state"


def source_of(function: Callable[..., Any]) -> str:
    """The body of a short lambda, `name(state)` for a function with a name, else "a function of the state"."""
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", "")
    if not isinstance(code, CodeType) or not isinstance(name, str):
        return UNKNOWN
    if name != "<lambda>":
        return f"{name}(state)"
    text = _body(code)
    return text if text and len(text) <= LONGEST else UNKNOWN


def _body(code: CodeType) -> str:
    """The lambda's body on one line, "" when it cannot be found for certain."""
    try:
        lines, _ = inspect.findsource(code)
        source = "".join(lines)
        found = [each for each in _lambdas(source) if each.lineno == code.co_firstlineno and _is_of(each, code)]
    except (OSError, SyntaxError, ValueError, IndexError):  # there is no file, or it has changed
        return ""
    if not found:
        return ""
    body = min(found, key=_length).body
    text = ast.get_source_segment(source, body) or ""
    return ast.unparse(body) if "\n" in text else text


@lru_cache(maxsize=4)
def _lambdas(source: str) -> tuple[ast.Lambda, ...]:
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Lambda))


def _is_of(found: ast.Lambda, code: CodeType) -> bool:
    """Whether the code may have been compiled from this: every instruction lies in it, and the names agree."""
    names = {node.id for node in ast.walk(found) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(found) if isinstance(node, ast.Attribute)}
    parameters = [argument.arg for argument in (*found.args.posonlyargs, *found.args.args)]
    same = parameters == list(code.co_varnames[: code.co_argcount])
    start, end = _begin(found.body), _end(found.body)
    inside = all(start <= first and last <= end for first, last in _places(code))
    return same and inside and set(code.co_names) <= names


def _places(code: CodeType) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the instructions begin and end in the file; those without a place are left out."""
    for line, end_line, column, end_column in code.co_positions():
        if line and end_line and column is not None and end_column:
            yield (line, column), (end_line, end_column)


def _begin(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _length(node: ast.Lambda) -> tuple[int, int]:
    (line, column), (end_line, end_column) = _begin(node), _end(node)
    return end_line - line, end_column - column
