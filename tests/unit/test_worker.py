"""`Worker`: everything that only its start can know to be missing, told together."""

from __future__ import annotations

from typing import Any

import pytest

from resolute import Flow, RunFailed, Worker, WorkerConfig, activity, env, flow, input_data, manual, output, secret
from resolute.errors import ConfigError, StoreError
from resolute.ports import Ports
from resolute.providers import pagerduty

KEY = "0123456789abcdef0123456789abcdef"


@activity
def look(host: str) -> str:
    return host


@activity(name="look")
def look_again(host: str) -> str:
    return host


def paging(name: str = "paging", **page: object) -> Flow:
    node = pagerduty.trigger_event(summary="down", severity="critical", **page)  # type: ignore[arg-type]
    return flow(name).triggered_by(manual()).then(node.as_("page")).build()


def looking(name: str = "looking", host: object = "db") -> Flow:
    return flow(name).triggered_by(manual()).then(look(host=host)).build()  # type: ignore[arg-type]


def problems(*flows: Flow, providers: tuple[pagerduty.PagerDutyProvider, ...] = (), **environ: str) -> list[str]:
    return Worker(flows=flows, providers=providers, ports=Ports(environ=environ)).problems()


def test_worker_that_has_everything_has_no_problems() -> None:
    """Secrets, variables and a provider."""
    page = paging(routing_key=secret("KEY"))
    host = looking(host=env("HOST"))
    assert problems(page, host, providers=(pagerduty.PagerDutyProvider(),), KEY=KEY, HOST="db") == []


@pytest.mark.parametrize(
    ("flows", "told"),
    [
        ((), "There is no flow to run"),
        ((looking(), looking()), 'Two flows are named "looking"'),
        ((looking(host=env("HOST")),), 'Node "look" needs the variable HOST'),
        ((paging(routing_key=secret("KEY")),), 'Node "page" needs the secret KEY'),
        ((paging(routing_key=secret("KEY")),), 'The provider pagerduty is used by "page" but was not given'),
        (
            (looking(), flow("other").triggered_by(manual()).then(look_again(host="x")).build()),
            'Two functions are named "look"',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_problem_is_told(flows: tuple[Flow, ...], told: str) -> None:
    """As a sentence that says what to do."""
    assert any(told in problem for problem in problems(*flows))


def test_variable_with_a_default_is_not_missing() -> None:
    """`env("HOST", default="db")`."""
    assert problems(looking(host=env("HOST", default="db"))) == []


def test_provider_of_another_name_is_missing() -> None:
    """`.via("eu")` needs an account of that name, and the message shows how to make it."""
    node = pagerduty.trigger_event(summary="s", severity="critical", routing_key=secret("KEY")).via("eu")
    page = flow("page").triggered_by(manual()).then(node).build()
    [problem] = problems(page, providers=(pagerduty.PagerDutyProvider(),), KEY=KEY)
    assert 'pagerduty.PagerDutyProvider(name="eu")' in problem


def test_two_accounts_of_one_name_are_told() -> None:
    """It could not be told through which of them to page."""
    accounts = (pagerduty.PagerDutyProvider(), pagerduty.PagerDutyProvider())
    assert 'Two pagerduty providers are named ""' in problems(looking(), providers=accounts)[0]


async def test_start_lists_all_problems_and_opens_nothing() -> None:
    """One message for the operator, not one a start."""
    worker = Worker(WorkerConfig(engine="memory:", max_concurrent=0), flows=[looking(host=env("HOST"))])
    with pytest.raises(ConfigError, match="max_concurrent") as caught:
        async with worker:
            pass
    assert "HOST" in str(caught.value)


async def test_worker_in_memory_runs_flows() -> None:
    """For tests and trials: `engine="memory:"`."""
    async with Worker(WorkerConfig(engine="memory:"), flows=[looking()]) as worker:
        run = await worker.client.start("looking")
        assert await run.result() == {"look": "db"}
    with pytest.raises(StoreError, match="not running"):
        _ = worker.client


@activity
def tell(error: str) -> str:
    return error


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (tell, "Worker(on_failure=...) takes a node, not <activity tell>: call the activity."),
        (
            tell(error=input_data("eror")),
            'Worker(on_failure=...): "tell(error=...)" reads input_data("eror"): FailureNotice',
        ),
        (
            tell(error=output("page.error")),
            'Worker(on_failure=...): "tell(error=...)" reads output("page.error"), which no',
        ),
        (tell(error=secret("TOKEN")), 'Node "tell" needs the secret TOKEN'),
        (pagerduty.trigger_event(summary="s", severity="error"), 'The provider pagerduty is used by "trigger_event"'),
        (look_again(host="db"), 'Two functions are named "look"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_node_that_cannot_tell_of_a_failure_is_told_at_the_start(node: Any, told: str) -> None:
    """And not when something has failed."""
    assert any(problem.startswith(told) for problem in Worker(flows=[looking()], on_failure=node).problems())


async def test_worker_tells_of_a_failure_with_the_node_it_was_given() -> None:
    """As a run that can be seen."""
    node = tell(error=input_data("summary"))
    async with Worker(
        WorkerConfig(engine="memory:"), flows=[looking(host=input_data("host"))], on_failure=node
    ) as worker:
        run = await worker.client.start("looking", run_id="r")
        with pytest.raises(RunFailed):
            await run.result()
        [notice] = await worker.client.runs(flow="~worker-failure")
        assert "Run r of looking failed at look: " in (await worker.client.run(notice.id).result())["tell"]
