"""`@paginated`: what is made of a function that returns one page, and what is wrong with one that does not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from resolute.errors import NodeMisuse
from resolute.model.activity import activity
from resolute.model.pages import Page, PaginatedActivity, paginated
from resolute.model.refs import output
from resolute.model.retry import Retry
from tests.unit.model.mistakes import notify, problems_of, start


class User(BaseModel):
    name: str


class UserPage(Page[User]):
    total: int = 0


@paginated
async def members(page: str | None, team: str, limit: int = 100) -> Page[User]:
    """The members of a team."""
    return Page(items=[User(name=f"{team} {page} {limit}")])


@paginated(name="crm.owners", retry=Retry(attempts=9), timeout=timedelta(seconds=3), max_pages=5)
def owners(offset: int | None) -> UserPage:
    return UserPage(items=[], next=offset)


@paginated
def anything(page: Any) -> Page: ...  # type: ignore[type-arg]


def test_a_paginated_function_is_an_activity_without_its_page() -> None:
    """Name, doc and further parameters are those of the function; the page belongs to the engine."""
    assert (members.name, members.__doc__) == ("members", "The members of a team.")
    assert list(members.parameters) == ["team", "limit"]
    assert members.page_parameter == "page"
    assert dict(members("ops", limit=5).arguments) == {"team": "ops", "limit": 5}


@pytest.mark.parametrize(
    ("declared", "returns"), [(members, list[User]), (owners, list[User]), (anything, list[Any])], ids=repr
)
def test_a_node_puts_out_the_items_of_all_pages(declared: PaginatedActivity[Any, Any], returns: Any) -> None:
    """Its declared output is the list, whatever else a page holds."""
    assert declared.returns == returns


def test_settings_of_the_decorator_are_kept() -> None:
    """They hold for each page; without them there is a limit of 10,000 pages."""
    assert (owners.name, owners.retry.attempts, owners.timeout, owners.max_pages) == (
        "crm.owners",
        9,
        timedelta(seconds=3),
        5,
    )
    assert (owners.one_page.name, owners.one_page.retry, owners.one_page.timeout) == (
        owners.name,
        owners.retry,
        owners.timeout,
    )
    assert members.max_pages == 10_000


def test_a_page_is_asked_for_by_a_node_of_its_own() -> None:
    """It has the key and settings of the node, and returns one page."""
    node = members("ops").as_("people").with_timeout(timedelta(seconds=9))

    one = members.page_node(node, "p2")

    assert (one.key, one.timeout, dict(one.arguments)) == (
        "people",
        timedelta(seconds=9),
        {"page": "p2", "team": "ops"},
    )
    assert one.activity.returns == Page[User]
    assert (one.activity.is_async, owners.one_page.is_async) == (True, False)


async def test_the_plain_function_can_be_called() -> None:
    """A unit test of a paginated function needs no flow."""
    assert (await members.fn(None, "ops")).items == [User(name="ops None 100")]


def test_the_items_are_checked_by_their_type() -> None:
    """References into the list are compared with the items' model."""
    start().then(members("ops"), notify(output("members.0.name"))).build()

    assert problems_of(start().then(members("ops"), notify(output("members.0.nam")))) == [
        '"notify(text=...)" reads output("members.0.nam"): User has no field "nam". Did you mean "name"?'
    ]


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: members(), 'members() lacks the argument "team". Write members(team=...).'),
        (lambda: members(team=5), "members(team=...) does not take this value: Input should be a valid string."),
        (lambda: members("ops", 5, 6), "members() takes 2 arguments, 3 were given. It takes: team, limit."),
        (
            lambda: members("ops", page="p2"),
            'members() was given "page", but it asks for all pages by itself. Take page=... away.',
        ),
    ],
)
def test_a_wrong_call_is_kept_as_a_problem_of_the_node(make: Callable[[], Any], problem: str) -> None:
    """The page is no argument of a node; everything else is checked as in any activity."""
    assert make().problems == (problem,)


@paginated
def no_page(page: str | None) -> list[User]: ...


@paginated
def untyped(page=None): ...


@paginated
def optional(page: str | None) -> Page[User] | None: ...


@paginated
def strict(cursor: str) -> Page[User]: ...


@paginated(max_pages=0)
def none(page: str | None) -> Page[User]: ...


@paginated
def items(page: str | None) -> Iterator[User]:
    yield User(name="x")


@paginated
async def later_items(page: str | None) -> AsyncIterator[Page[User]]:
    yield Page(items=[])


ONE_PAGE = "Declare that it returns one page: -> Page[Item]."
GENERATOR = "is a generator. A paginated function returns one Page per call: return Page(items=..., next=...)."


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        (no_page, f"no_page is paginated, and its declared output is {list[User]!r}. {ONE_PAGE}"),
        (untyped, f"untyped is paginated, and its declared output is Any. {ONE_PAGE}"),
        (optional, f"optional is paginated, and its declared output is {Page[User] | None!r}. {ONE_PAGE}"),
        (
            strict,
            "strict(cursor=...) is None for the first page, but its type is str. Declare it as cursor: str | None.",
        ),
        (none, "none has max_pages=0; it takes a whole number from 1."),
        (items, f"items {GENERATOR}"),
        (later_items, f"later_items {GENERATOR}"),
    ],
    ids=repr,
)
def test_a_fault_of_the_declaration_is_told(declared: PaginatedActivity[Any, Any], problem: str) -> None:
    """A page can be asked for, says so, and is one."""
    assert problems_of(start().then(declared().as_("list"))) == [f'Node "list": {problem}']


@pytest.mark.parametrize(
    ("max_pages", "is_fault"), [(1, False), (10**6, False), (0, True), (True, True), (2.5, True), ("5", True)]
)
def test_pages_are_counted_from_one(max_pages: Any, is_fault: bool) -> None:
    """A list of a single page is a list."""
    declared = paginated(max_pages=max_pages)(members.fn)
    fault = f"members has max_pages={max_pages!r}; it takes a whole number from 1."

    assert declared.type_problems() == ([fault] if is_fault else [])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (
            lambda: paginated(notify),
            '"notify" is an activity already. Take the decorator below @paginated away.',
        ),
        (lambda: activity(members), '"members" is an activity already. Put one decorator on the function, not two.'),
        (lambda: paginated(5), "@paginated was put on 5. It belongs on a function: async def or def."),
        (
            lambda: paginated(no_parameters),
            '"no_parameters" takes no page. The first parameter of a paginated function is the page to ask for, '
            "None for the first: async def no_parameters(page: str | None, ...) -> Page[Item].",
        ),
    ],
)
def test_the_decorator_refuses_what_has_no_pages(make: Callable[[], object], problem: str) -> None:
    """What can never work is told where it is written."""
    with pytest.raises(NodeMisuse) as caught:
        make()

    assert str(caught.value) == problem


def no_parameters() -> Page[User]: ...
