"""`@paginated`: an activity that is asked page by page, each page a journal entry of its own.

After a crash the node goes on at the page where it stopped; the flow sees one list of all items.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, get_args, overload

from pydantic import BaseModel, ValidationError

from resolute.errors import NodeMisuse
from resolute.jsontypes import JsonValue
from resolute.model.activity import Activity, Node, Parameter
from resolute.model.declared import name_of
from resolute.model.retry import Retry

P = ParamSpec("P")
T = TypeVar("T")

#: Pages of one node at most, unless the activity says otherwise.
MAX_PAGES: Final = 10_000


class Page(BaseModel, Generic[T]):
    """One page of a list.

    Attributes:
        items: what stands on it, in order.
        next: what the function is given to ask for the page after it; None on the last page.
    """

    items: list[T]
    next: JsonValue = None


class PaginatedActivity(Activity[P, list[T]], Generic[P, T]):
    """An activity whose function returns one `Page` per call; a node of it puts out the items of all pages.

    Attributes:
        one_page: the activity that is attempted for each page; its first parameter is the page's `next`.
        max_pages: pages at most; one more fails the node.
    """

    fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, Page[T]]] | Callable[Concatenate[Any, P], Page[T]]  # type: ignore[assignment]

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        max_pages: int = MAX_PAGES,
    ) -> None:
        if isinstance(fn, Activity):
            raise NodeMisuse(f'"{fn.name}" is an activity already. Take the decorator below @paginated away.')
        if not callable(fn) or not hasattr(fn, "__name__"):
            raise NodeMisuse(f"@paginated was put on {fn!r}. It belongs on a function: async def or def.")
        super().__init__(fn, name=name, retry=retry, timeout=timeout)
        self.one_page: Activity[Any, Page[T]] = Activity(fn, name=name, retry=retry, timeout=timeout)
        self.max_pages = max_pages
        if not self.one_page.parameters:
            raise NodeMisuse(
                f'"{self.name}" takes no page. The first parameter of a paginated function is the page to ask for, '
                f"None for the first: async def {fn.__name__}(page: str | None, ...) -> Page[Item]."
            )

    @property
    def page_parameter(self) -> str:
        """The name of the parameter that takes a page's `next`; None stands for the first page."""
        return next(iter(self.one_page.parameters))

    @cached_property
    def signature(self) -> inspect.Signature:
        whole = inspect.signature(self.fn)
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    @cached_property
    def returns(self) -> Any:
        """`list[T]` of a function that returns `Page[T]`."""
        page = self.one_page.returns
        if not _is_page(page):
            return list[Any]
        items = page.model_fields["items"].annotation
        return list[Any] if any(isinstance(part, TypeVar) for part in get_args(items)) else items

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        page = self.page_parameter
        arguments, problems = super()._bind(args, {name: value for name, value in kwargs.items() if name != page})
        if page in kwargs:
            fault = f'{self.name}() was given "{page}", but it asks for all pages by itself. Take {page}=... away.'
            problems = (*problems, fault)
        return arguments, problems

    def type_problems(self) -> list[str]:
        """Faults in the function's own declaration, as sentences."""
        found = self.one_page.type_problems()
        page, first = self.one_page.returns, self.one_page.parameters[self.page_parameter]
        if inspect.isasyncgenfunction(self.fn) or inspect.isgeneratorfunction(self.fn):
            generator = f"{self.name} is a generator. "
            found = [fault for fault in found if not fault.startswith(generator)]
            found.append(
                f"{generator}A paginated function returns one Page per call: return Page(items=..., next=...)."
            )
        elif not _is_page(page):
            found.append(
                f"{self.name} is paginated, and its declared output is {name_of(page)}. "
                "Declare that it returns one page: -> Page[Item]."
            )
        if not _takes_none(first):
            kind = name_of(first.annotation)
            found.append(
                f"{self.name}({first.name}=...) is None for the first page, but its type is {kind}. "
                f"Declare it as {first.name}: {kind} | None."
            )
        if not isinstance(self.max_pages, int) or isinstance(self.max_pages, bool) or self.max_pages < 1:
            found.append(f"{self.name} has max_pages={self.max_pages!r}; it takes a whole number from 1.")
        return found

    def page_node(self, node: Node[Any], page: JsonValue) -> Node[Page[T]]:
        """The node that asks for one page."""
        arguments = {self.page_parameter: page, **node.arguments}
        return replace(node, activity=self.one_page, arguments=arguments, name=node.key)


def _is_page(declared: Any) -> bool:
    return isinstance(declared, type) and issubclass(declared, Page)


def _takes_none(parameter: Parameter) -> bool:
    try:
        parameter.adapter.validate_python(None)
    except ValidationError:
        return False
    return True


@overload
def paginated(fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, Page[T]]], /) -> PaginatedActivity[P, T]: ...
@overload
def paginated(fn: Callable[Concatenate[Any, P], Page[T]], /) -> PaginatedActivity[P, T]: ...
@overload
def paginated(
    *, name: str | None = None, retry: Retry | None = None, timeout: timedelta | None = None, max_pages: int = MAX_PAGES
) -> PaginatedDecorator: ...
def paginated(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: timedelta | None = None,
    max_pages: int = MAX_PAGES,
) -> Any:
    """Turn a function that returns one `Page` into an activity that returns the items of all pages.

    The function's first parameter is the page: None at first, then what the page before named as `next`.

    Args:
        max_pages: pages at most; one more fails the node, so that a service that never ends cannot hang a run.
    """
    decorate = PaginatedDecorator(name, retry, timeout, max_pages)
    return decorate if fn is None else decorate(fn)


@dataclass(frozen=True)
class PaginatedDecorator:
    """What `@paginated(...)` with settings returns: it still waits for its function."""

    name: str | None
    retry: Retry | None
    timeout: timedelta | None
    max_pages: int

    @overload
    def __call__(
        self, fn: Callable[Concatenate[Any, P], Coroutine[Any, Any, Page[T]]], /
    ) -> PaginatedActivity[P, T]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[Any, P], Page[T]], /) -> PaginatedActivity[P, T]: ...
    def __call__(self, fn: Callable[..., Any], /) -> PaginatedActivity[Any, Any]:
        return PaginatedActivity(fn, name=self.name, retry=self.retry, timeout=self.timeout, max_pages=self.max_pages)
