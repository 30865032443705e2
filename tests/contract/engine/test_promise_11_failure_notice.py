"""Promise 11: a failure is loud. Each run that fails or is parked, and each tick that is missed, is told once."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from typing import Any

import pytest

from resolute import Retry, flow, input_data, schedule, text
from resolute.engines.embedded.failure_notice import ERRORS_TOLD, NOTICE_FLOW
from resolute.engines.embedded.recovery import LOST_LIMIT
from tests.contract.engine.book import hang
from tests.contract.engine.changes import done
from tests.contract.engine.flows import act, begin, do, of, page
from tests.contract.engine.machine import Machine

TELL = act(given=input_data("")).as_("tell").with_retry(Retry(initial=timedelta(seconds=1), attempts=3))
PAGE = page(
    "tell", alert="resolute", summary=text("{flow}: {error}", flow=input_data("flow"), error=input_data("error"))
)
TICKING = flow("tick").triggered_by(schedule("*/10 * * * *", catch_up="skip")).then(do("a")).build()


def told(machine: Machine, *names: str) -> list[tuple[Any, ...]]:
    """These fields of what the attempts of the node were given."""
    return [tuple(given[name] for name in names) for given in machine.book.given("tell")]


async def test_a_failed_run_is_told_with_all_that_went_wrong(machine: Machine) -> None:
    """The node gets the flow, the run, the place, and each of the errors."""
    machine.book.always("a", ValueError("no route"))
    machine.book.always("b", ValueError("no room"))
    await machine.up(begin().then_parallel("both", do("a"), do("b")).build(), on_failure=TELL)
    await machine.start()
    view = await machine.result()
    await machine.called("tell")
    [notice] = machine.book.given("tell")
    assert (notice["kind"], notice["flow"], notice["run_id"], notice["key"]) == ("run_failed", "f", "r", "both")
    assert notice["summary"] == f"Run r of f failed at both: {notice['error']}"
    assert [fault["error"] for fault in notice["errors"]] == ["ValueError: no route", "ValueError: no room"]
    assert notice["error"] == view.error


async def test_whatever_an_error_says_it_is_told(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    """Also half a character, which no model takes, and more text than a journal entry holds."""
    caplog.set_level(logging.CRITICAL, "resolute")  # a test's report takes no half characters either
    faults = [ValueError(f"\ud83d {number} " + "x" * 4000) for number in range(60)]
    for number, fault in enumerate(faults):
        machine.book.always(f"a{number}", fault)
    await machine.up(begin().then_parallel("all", *(do(f"a{number}") for number in range(60))).build(), on_failure=TELL)
    await machine.start()
    await machine.called("tell")
    [notice] = machine.book.given("tell")
    assert len(notice["errors"]) == ERRORS_TOLD
    assert notice["errors"][0]["error"].startswith("ValueError: ? 0 xxx")


async def test_a_run_whose_time_is_over_is_told(machine: Machine) -> None:
    """It has no step to name."""
    machine.book.always("a", hang)
    await machine.up(begin().with_timeout(timedelta(minutes=1)).then(do("a")).build(), on_failure=TELL)
    await machine.start()
    await machine.called("tell")
    assert told(machine, "kind", "key", "error") == [("run_failed", "", "The run did not end within 0:01:00.")]


async def test_a_run_that_did_not_fail_is_not_told(machine: Machine) -> None:
    """Neither one that went well nor one that somebody cancelled."""
    machine.book.always("b", hang)
    await machine.up(of(do("a")), of(do("b"), name="g"), on_failure=TELL)
    await machine.start("f", run_id="well")
    await machine.start("g", run_id="cancelled")
    await machine.engine.cancel("cancelled")
    await machine.result("well")
    await machine.wait(hours=1)
    assert told(machine, "run_id") == []


@pytest.mark.needs("retry-notices")
async def test_a_parked_run_is_told_each_time_that_it_is_parked(machine: Machine) -> None:
    """A retry that does not help is told again."""
    await machine.up(done(do("a")).then(do("b")).build(), on_failure=TELL)
    await machine.start()
    await machine.status("waiting")
    await machine.kill()
    await machine.up(done(do("z")).then(do("b")).build(), on_failure=TELL)
    await machine.called("tell")
    await machine.engine.retry("r")
    await machine.called("tell", 2)
    assert told(machine, "kind", "run_id") == [("needs_attention", "r")] * 2


@pytest.mark.needs("blame")
async def test_a_run_that_takes_its_worker_with_it_is_told(machine: Machine) -> None:
    """It is parked by the worker that starts after the last loss."""
    machine.book.always("a", hang)
    for number in range(LOST_LIMIT):
        await machine.up(of(do("a")), on_failure=TELL)
        if not number:
            await machine.start()
        await machine.called("a", number + 1)
        await machine.kill()
    await machine.up(of(do("a")), on_failure=TELL)
    await machine.called("tell")
    assert told(machine, "kind", "key") == [("needs_attention", "a")]


@pytest.mark.parametrize("number", range(0, 40, 2))
async def test_a_failure_is_paged_once_though_the_worker_dies(machine: Machine, number: int) -> None:
    """Before the run has failed, as it fails, before the page leaves, while it is on its way, and after that."""
    machine.book.always("a", ValueError("no route"))
    await machine.up(of(do("a")), on_failure=PAGE)
    await machine.start()
    await machine.steps(number)
    await machine.kill()
    await machine.up(of(do("a")), on_failure=PAGE)
    await machine.result()
    await machine.wait(minutes=10)
    assert [(row.flow, row.status, row.title) for row in await machine.rows()] == [
        (NOTICE_FLOW, "accepted", "f: ValueError: no route")
    ]
    assert len(machine.pagerduty.incidents) == 1


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13, 21, 34])
async def test_missed_ticks_are_told_once_though_the_worker_dies_at_it(machine: Machine, number: int) -> None:
    """The next worker finds them missed as well, and finds the notice."""
    await machine.up(TICKING, on_failure=TELL)
    await machine.wait(minutes=1)
    await machine.kill()
    await machine.wait(minutes=65)
    await machine.up(TICKING, on_failure=TELL)
    await machine.steps(number)
    await machine.kill()
    await machine.up(TICKING, on_failure=TELL)
    await machine.wait(minutes=1)
    assert {call.run_id for call in machine.book.of("tell")} == {machine.book.of("tell")[0].run_id}
    notice = machine.book.given("tell")[-1]
    assert (notice["kind"], notice["flow"], notice["count"]) == ("missed_ticks", "tick", 6)
    day = f"{machine.begins_at:%Y-%m-%d}"
    assert notice["error"].endswith(f"from {day} 10:10:00 to {day} 11:00:00 UTC were missed and not run")


async def test_a_notice_that_fails_is_logged_and_told_to_nobody(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried as often as the node says; then the log is the last resort."""
    machine.book.always("a", ValueError("no route"))
    machine.book.always("tell", ValueError("no network"))
    await machine.up(of(do("a")), on_failure=TELL)
    await machine.start()
    await machine.called("tell", 3)
    await machine.wait(hours=1)
    assert len(machine.book.of("tell")) == 3
    [critical] = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    told_to_nobody = rf"NOBODY WAS TOLD: the notice {NOTICE_FLOW}:r:\d+ of Worker\(on_failure=\.\.\.\) has failed"
    assert re.match(told_to_nobody, critical)
