"""Activities and nodes: what `@activity` keeps of a function, and what calling it makes."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel, Field, SecretStr

from resolute.errors import InputError, NodeMisuse
from resolute.model import activity as module
from resolute.model.activity import Activity, Node, Secret, SecretText, activity
from resolute.model.limit import RateLimit
from resolute.model.refs import now, output, secret
from resolute.model.retry import Retry

if TYPE_CHECKING:
    from elsewhere import Unknown


class Health(BaseModel):
    status: str
    component: str = Field("db", alias="part")


class Opaque:
    """A class that pydantic knows nothing of."""


@activity
async def check(url: str, timeout_s: float = 5.0) -> Health:
    """Look at a health page."""
    return Health(status=f"ok {url} {timeout_s}")


@activity(name="chat.notify", retry=Retry(attempts=9), timeout=timedelta(seconds=3))
def notify(*, text: str, token: SecretText | None = None, tags: list[str] | None = None) -> int:
    return len(text)


@activity
def tag(name: str, /, *rest: str) -> None: ...


@activity
def label(**labels: str) -> None: ...


def test_an_activity_keeps_what_the_function_says() -> None:
    """Name, doc, types and the plain function are at hand for editors and tests."""
    assert (check.name, check.__doc__, check.__module__) == ("check", "Look at a health page.", __name__)
    assert list(check.parameters) == ["url", "timeout_s"]
    assert (check.parameters["url"].is_required, check.parameters["timeout_s"].is_required) == (True, False)
    assert (check.returns, label.returns) == (Health, None.__class__)
    assert repr(check) == "<activity check>"


async def test_the_plain_function_can_be_called() -> None:
    """A unit test of an activity needs no flow."""
    assert (await check.fn(url="u")).status == "ok u 5.0"
    assert notify.fn(text="abc") == 3


def test_settings_of_the_decorator_are_kept() -> None:
    """`@activity(name=..., retry=..., timeout=...)` gives the nodes their defaults."""
    assert (notify.name, notify.default_key) == ("chat.notify", "notify")
    assert (notify.retry.attempts, notify.timeout) == (9, timedelta(seconds=3))
    assert (check.retry, check.timeout) == (Retry(), timedelta(minutes=5))


def test_an_activity_knows_whether_it_is_async() -> None:
    """Plain functions run in threads, async ones on the loop."""
    assert (check.is_async, notify.is_async) == (True, False)


def test_a_secret_parameter_is_known_by_its_mark() -> None:
    """`Annotated[str, Secret()]` counts inside a union, too."""
    assert notify.parameters["token"].is_secret
    assert not notify.parameters["text"].is_secret
    assert module.Parameter("x", Annotated[str, Secret()], None, True).is_secret


def test_calling_an_activity_makes_a_node_and_runs_nothing() -> None:
    """The node holds the arguments by name, given by place or by name."""
    node = check("https://x", timeout_s=1)

    assert isinstance(node, Node)
    assert (node.key, dict(node.arguments), node.problems) == ("check", {"url": "https://x", "timeout_s": 1}, ())


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: check(), 'check() lacks the argument "url". Write check(url=...).'),
        (lambda: check("u", 1, 2), "check() takes 2 arguments, 3 were given. It takes: url, timeout_s."),
        (lambda: check("u", url="v"), 'check() was given "url" twice, by its place and by name. Take one away.'),
        (lambda: check("u", timeout=1), 'check() has no argument "timeout". Did you mean "timeout_s"?'),
        (lambda: check("u", x=1), 'check() has no argument "x". It takes: url, timeout_s.'),
        (
            lambda: check(7),
            "check(url=...) does not take this value: Input should be a valid string.",
        ),
        (
            lambda: check("u", timeout_s="soon"),
            "check(timeout_s=...) does not take this value: "
            "Input should be a valid number, unable to parse string as a number.",
        ),
        (
            lambda: notify(text="x", tags=["a", 1]),
            "chat.notify(tags=...) does not take this value: 1: Input should be a valid string.",
        ),
        (
            lambda: notify("x", text="x"),
            "chat.notify() takes its arguments by name, 1 were given without one. It takes: text, token, tags.",
        ),
        (
            lambda: check(check("u").as_("health")),
            'check(url=...) was given a node. Nodes hand values on by reference: write output("health") in its place.',
        ),
        (
            lambda: check(check),
            'check(url=...) was given a node. Nodes hand values on by reference: write output("check") in its place.',
        ),
        (
            lambda: notify(text="x", tags=[notify(text="y")]),
            "chat.notify(tags=...) was given a node. "
            'Nodes hand values on by reference: write output("notify") in its place.',
        ),
        (
            lambda: check(output("a") == 1),
            'check(url=...) was given the comparison (output("a") == 1), which is decided in the run. '
            "Hand over what is compared, and compare inside the activity.",
        ),
        (
            lambda: label(x={output("a"): 1}),
            None,  # arguments that no parameter declares are not looked into
        ),
        (
            lambda: check({output("a"): 1}),
            "check(url=...) has a reference as the key of a dict, but only values are filled in. "
            "Make the dict in an activity.",
        ),
    ],
)
def test_a_wrong_call_is_kept_as_a_problem_of_the_node(make: Callable[[], Node[Any]], problem: str | None) -> None:
    """Nothing is raised where the node is made: `build()` lists all faults at once."""
    assert make().problems == (() if problem is None else (problem,))


def test_several_faults_of_one_call_are_all_kept() -> None:
    """The author mends a call once, not fault by fault."""
    assert check(1, timeout_s="x", retries=3).problems == (
        'check() has no argument "retries". It takes: url, timeout_s.',
        "check(url=...) does not take this value: Input should be a valid string.",
        "check(timeout_s=...) does not take this value: "
        "Input should be a valid number, unable to parse string as a number.",
    )


@pytest.mark.parametrize(
    "node",
    [
        check(output("x")),
        check(url=output("x"), timeout_s=output("y")),
        notify(text=secret("X"), tags=[output("x")], token=secret("TOKEN")),
        notify(text=output("x"), token=None),
        label(anything="goes"),
    ],
)
def test_references_may_stand_for_any_argument(node: Node[Any]) -> None:
    """What a reference leads to is checked in the run."""
    assert node.problems == ()


def test_every_node_method_returns_a_new_node() -> None:
    """A node can be the beginning of several others."""
    node = check("u")
    spare = check("v").as_("spare")

    changed = node.as_("a").with_retry(Retry(attempts=1)).with_timeout(timedelta(seconds=1)).or_else(spare).via("eu")
    more = node.undo(spare).with_rate_limit(RateLimit(5)).with_heartbeat(timedelta(seconds=9))

    assert (node.key, node.retry, node.timeout, node.fallback, node.instance) == ("check", None, None, None, None)
    assert (changed.key, changed.retry, changed.timeout) == ("a", Retry(attempts=1), timedelta(seconds=1))
    assert (changed.fallback, changed.instance, changed.arguments) == (spare, "eu", node.arguments)
    assert (node.compensation, node.rate_limit, node.heartbeat) == (None, None, None)
    assert (more.compensation, more.rate_limit, more.heartbeat) == (spare, RateLimit(5), timedelta(seconds=9))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda node: node.with_retry(3), "with_retry() takes a Retry(attempts=...), not 3."),
        (
            lambda node: node.with_retry(Retry(attempts=0)),
            "Retry(attempts=0) must be a whole number from 1, or None for no limit.",
        ),
        (
            lambda node: node.with_timeout(30),
            "with_timeout() takes a timedelta of more than nothing, not 30: timedelta(seconds=30).",
        ),
        (
            lambda node: node.with_timeout(timedelta(0)),
            "with_timeout() takes a timedelta of more than nothing, not datetime.timedelta(0): timedelta(seconds=30).",
        ),
        (lambda node: node.or_else(None), "or_else() takes a node, not None: call the activity."),
        (lambda node: node.or_else(check), "or_else() takes a node, not <activity check>: call the activity."),
        (
            lambda node: node.or_else(node.as_("b"), after=60),
            "or_else(after=...) takes a timedelta of more than nothing, not 60: timedelta(minutes=5).",
        ),
        (lambda node: node.undo(check), "undo() takes a node, not <activity check>: call the activity."),
        (lambda node: node.with_rate_limit(5), "with_rate_limit() takes a RateLimit(5, per=...), not 5."),
        (
            lambda node: node.with_rate_limit(RateLimit(0)),
            "RateLimit(0) takes a whole number of attempts from 1: RateLimit(5, per=...).",
        ),
        (
            lambda node: node.with_heartbeat(30),
            "with_heartbeat() takes a timedelta of more than nothing, not 30: timedelta(seconds=30).",
        ),
        (lambda node: node.via(None), 'via() takes the name of a provider instance, not None: via("eu").'),
    ],
)
def test_a_wrong_setting_is_kept_as_a_problem_of_the_node(
    change: Callable[[Node[Any]], Node[Any]], problem: str
) -> None:
    """Settings are checked when the flow is built, with everything else."""
    assert change(check("u")).problems == (problem,)


async def test_a_node_that_is_awaited_raises_with_the_fix() -> None:
    """`await check(...)` is what everybody writes first."""
    with pytest.raises(NodeMisuse) as caught:
        await check("u").as_("health")

    assert str(caught.value) == (
        'Node "health" was awaited, but calling an activity only makes a node. '
        "Put it into a flow with .then(...); in tests, write await check.fn(...)."
    )


@pytest.mark.parametrize("method", ["as_", "or_else", "undo", "via", "with_retry", "with_timeout", "with_rate_limit"])
def test_a_forgotten_call_before_a_method_raises_with_the_fix(method: str) -> None:
    """`check.as_("health")` lacks the call that makes the node."""
    with pytest.raises(NodeMisuse) as caught:
        getattr(notify, method)

    assert str(caught.value) == (
        f'"chat.notify" is an activity, and .{method}() is for its nodes. Call it first: notify(...).{method}(...).'
    )


def test_an_activity_looks_like_any_object_to_code_that_asks_for_attributes() -> None:
    """It can be copied, and what it lacks is lacking."""
    assert not hasattr(notify, "as_")
    assert getattr(notify, "nope", None) is None
    assert copy.copy(notify).name == "chat.notify"
    with pytest.raises(AttributeError, match=r"^Activity has no attribute 'nope'$"):
        _ = notify.nope


def test_a_node_is_shown_by_its_key() -> None:
    """Error texts that show a node stay short."""
    assert repr(notify(text="x").as_("page")) == '<node "page" of chat.notify>'


async def test_an_activity_that_is_awaited_raises_with_the_fix() -> None:
    """A forgotten call is told apart from a forgotten flow."""
    with pytest.raises(NodeMisuse) as caught:
        await notify

    assert str(caught.value) == '"chat.notify" was awaited. Put notify(...) into a flow with .then(...).'


def test_an_activity_called_inside_an_activity_raises_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer that runs activities tells the model when one is running."""
    monkeypatch.setattr(module, "_misuse_probe", None)  # put back afterwards
    module.set_misuse_probe(lambda: "inside an activity")

    with pytest.raises(NodeMisuse) as caught:
        notify(text="x")

    assert str(caught.value) == (
        '"chat.notify" was called inside an activity, where it only makes a node. '
        "Call the plain function instead: notify.fn(...)."
    )


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: activity(check), '"check" is an activity already. Put one decorator on the function, not two.'),
        (lambda: activity(5), "@activity was put on 5. It belongs on a function: async def or def."),
    ],
)
def test_the_decorator_refuses_what_is_no_function(make: Callable[[], object], problem: str) -> None:
    """A decorator that stands twice, or on something else, is told at once."""
    with pytest.raises(NodeMisuse) as caught:
        make()

    assert str(caught.value) == problem


def test_resolved_inputs_are_given_in_the_types_of_the_function() -> None:
    """Plain data from the journal becomes models, datetimes and sets again, under names or aliases."""

    @activity
    def act(health: Health, at: datetime, tags: set[str], anything: Any, raw=None) -> None: ...

    valid = act.validate_inputs(
        {
            "health": {"status": "ok", "component": "web"},
            "at": "2026-07-01T12:00:00Z",
            "tags": ["a"],
            "anything": {"x": math.inf},
            "raw": [1],
        }
    )

    assert (valid["health"].component, valid["at"].year, valid["tags"]) == ("web", 2026, {"a"})
    assert (valid["anything"], valid["raw"]) == ({"x": math.inf}, [1])


def test_inputs_that_no_parameter_declares_pass_unchecked() -> None:
    """A function with `**labels` takes whatever it was given."""
    assert label.validate_inputs({"a": 1}) == {"a": 1}


def test_resolved_inputs_that_do_not_fit_are_all_listed() -> None:
    """The error names activity and parameters, is permanent, and holds no value."""
    with pytest.raises(InputError) as caught:
        check.validate_inputs({"url": 5, "timeout_s": "soon"})

    assert str(caught.value) == (
        "The resolved inputs of check do not fit: url: Input should be a valid string; "
        "timeout_s: Input should be a valid number, unable to parse string as a number. "
        "Change the activity's type or the reference that fills it."
    )
    assert caught.value.permanent


@activity
def leak() -> dict[str, list[SecretStr | None]]:
    raise AssertionError


class Account(BaseModel):
    name: str
    password: SecretStr
    parent: Account | None = None


@activity
def leak_model() -> Account:
    raise AssertionError


@activity
def pages() -> Iterator[int]:
    yield 1


@activity
async def unknown(x: Unknown) -> None: ...


@activity
def opaque(x: Opaque) -> Opaque:
    return x


@activity(retry=Retry(coefficient=0.5), timeout=timedelta(seconds=-1))
def unsettled() -> None: ...


@activity(name=5, retry=3, timeout=30)
def mistyped() -> None: ...


@activity
def mistaken(at: datetime.datetiem) -> None: ...


class Broken(BaseModel):
    where: Nowhere  # noqa: F821


@activity
def broken(given: Broken) -> None: ...


class Row(TypedDict):
    n: int


@activity
def tabular(row: Row) -> None: ...


SECRET_OUTPUT = (
    "returns a secret type. Outputs are journalled; return the name of the secret, "
    "or read it with secret(...) where it is used."
)


@pytest.mark.parametrize(
    ("declared", "problems"),
    [
        (check, []),
        (opaque, []),
        (leak, [f"leak {SECRET_OUTPUT}"]),
        (leak_model, [f"leak_model {SECRET_OUTPUT}"]),
        (pages, ["pages is a generator. An activity returns one value: return a list."]),
        (
            unknown,
            [
                "unknown: a type in the signature is not known: name 'Unknown' is not defined. "
                "Define or import it before."
            ],
        ),
        (
            tag,
            [
                'tag: inputs are given by name, and "name" has no place there. Drop its * or /.',
                'tag: inputs are given by name, and "rest" has no place there. Drop its * or /.',
            ],
        ),
        (
            unsettled,
            [
                "Retry(coefficient=0.5) must be a number from 1.",
                "unsettled: @activity(timeout=...) takes a timedelta of more than nothing, "
                "not datetime.timedelta(days=-1, seconds=86399).",
            ],
        ),
        (
            mistyped,
            [
                '@activity(name=5) takes a text on one line, such as name="chat.notify".',
                "5: @activity(retry=...) takes a Retry(...), not 3.",
                "5: @activity(timeout=...) takes a timedelta of more than nothing, not 30.",
            ],
        ),
        (
            mistaken,
            [
                "mistaken: a type in the signature is not known: "
                "type object 'datetime.datetime' has no attribute 'datetiem'. Define or import it before."
            ],
        ),
        (
            broken,
            [
                "broken: a type in the signature is not known: name 'Nowhere' is not defined. "
                "Define or import it before."
            ],
        ),
        pytest.param(
            tabular,
            [
                "tabular: a type in the signature cannot be checked. "
                "Please use `typing_extensions.TypedDict` instead of `typing.TypedDict` on Python < 3.12."
            ],
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="pydantic takes any TypedDict there"),
        ),
    ],
    ids=repr,
)
def test_faults_of_the_declaration_are_found(declared: Activity[Any, Any], problems: list[str]) -> None:
    """What is wrong with the function itself is told before any run."""
    assert declared.type_problems() == problems


@pytest.mark.parametrize("declared", [unknown, mistaken, broken, tabular], ids=repr)
def test_an_activity_with_an_unknown_type_can_still_make_nodes(declared: Activity[Any, Any]) -> None:
    """What is wrong with the type is one of the problems of `build()`, not an error on import."""
    assert declared({"n": 1}).problems == ()


def test_a_class_unknown_to_pydantic_is_checked_by_instance() -> None:
    """Any class may be a type of an activity; a literal must be an instance of it."""
    assert opaque(Opaque()).problems == ()
    assert opaque(5).problems == ("opaque(x=...) does not take this value: Input should be an instance of Opaque.",)


def test_now_is_a_datetime_for_an_activity() -> None:
    """A reference typed as its value can be given where that value is wanted."""

    @activity
    def since(at: datetime) -> None: ...

    assert since(now() - timedelta(hours=1)).problems == ()
