"""The pace of a routing key: no limit until one is met, then each event as soon as there is room, in order."""

from __future__ import annotations

import pytest

from resolute.errors import ProviderUnavailable
from resolute.ledger.pace import FLOOR, MINUTE, PATIENCE
from tests.unit.ledger.desk import START, Desk, seconds

HOLD = seconds(5)
REFUSAL = ProviderUnavailable("too many", status=429, retry_after=HOLD)


@pytest.fixture
def desk() -> Desk:
    """A log with an empty disk."""
    return Desk()


def record(desk: Desk, number: int, name: str) -> list[int]:
    """So many pages that were decided now, each of an alert of its own."""
    return [desk.record("trigger", key=f"{name} {each}") for each in range(number)]


def take(desk: Desk, number: int, name: str = "taken") -> None:
    """Let the service take so many pages."""
    for row_id in record(desk, number, name):
        desk.send(row_id)


def refuse(desk: Desk, row_id: int) -> None:
    """Let the service refuse a page, and wait as long as it says."""
    desk.send(row_id, REFUSAL)
    desk.clock.advance(HOLD)


def meet(desk: Desk, limit: int = FLOOR) -> int:
    """Let the service take so many, then refuse a page and both its tries; its row."""
    take(desk, limit)
    refused = desk.record("trigger", key="refused")
    for _ in range(3):
        refuse(desk, refused)
    return refused


def go_to(desk: Desk, second: float) -> None:
    """Set the clock to a moment after the start."""
    desk.clock.advance(START + seconds(second) - desk.clock.now())


def test_nothing_waits_until_the_service_refuses(desk: Desk) -> None:
    """Some keys take ten thousand a minute, and nobody tells."""
    take(desk, 1_000)
    assert desk.disk[desk.record("trigger")].status == "sending"


def test_a_limit_that_was_stated_is_never_tried(desk: Desk) -> None:
    """Where the operator knows it no request is refused; each event leaves as soon as there is room."""
    desk.service.events_per_minute = 3
    take(desk, 3)
    late = record(desk, 4, "late")
    assert [desk.look(row_id).until for row_id in late] == [START + MINUTE] * 3 + [START + 2 * MINUTE]
    go_to(desk, 60)
    refuse(desk, late[0])  # somebody else uses the key as well
    for row_id in late[:3]:
        desk.send(row_id)
    assert desk.look(late[3]).until == START + 2 * MINUTE + HOLD


def test_a_refusal_after_less_than_a_limit_has_another_reason(desk: Desk) -> None:
    """Everything goes on when the time that the service asked for is over."""
    take(desk, FLOOR - 1)
    refuse(desk, desk.record("trigger"))
    take(desk, 300, "later")


@pytest.mark.parametrize("limit", [FLOOR, 200])
def test_as_many_leave_in_a_minute_as_were_taken_before_the_refusal(desk: Desk, limit: int) -> None:
    """Not one more, and not one less."""
    refused = meet(desk, limit)
    late = record(desk, limit + 1, "late")
    leaving = (refused, *late[: limit - 1])
    assert {desk.look(row_id).until for row_id in leaving} == {START + MINUTE}
    go_to(desk, 60)
    attempts = [desk.begin(row_id) for row_id in leaving]
    assert desk.look(late[-1]).until == START + 2 * MINUTE
    for attempt in attempts:
        desk.answer(attempt, "accepted")
    assert desk.look(late[-1]).until == START + 2 * MINUTE


def test_pages_leave_in_the_order_in_which_they_came(desk: Desk) -> None:
    """Who was refused keeps its place, and who asks first when there is room again may have come last."""
    take(desk, 1, "first")
    go_to(desk, 1)
    take(desk, 1, "second")
    go_to(desk, 40)
    refused = meet(desk, FLOOR - 2)
    late = record(desk, 2, "late")
    go_to(desk, 60)
    assert [desk.look(row_id).until for row_id in reversed(late)] == [START + seconds(100), START + seconds(61)]
    desk.send(refused)
    go_to(desk, 61)
    desk.send(late[0])


def test_a_try_that_is_taken_frees_all_that_wait(desk: Desk) -> None:
    """The refusal had another reason, or the limit was raised: pages wait for one answer and no longer."""
    take(desk, FLOOR)
    refused = desk.record("trigger", key="refused")
    refuse(desk, refused)
    attempt, late = desk.begin(refused), record(desk, 3, "late")
    assert {desk.status(row_id) for row_id in late} == {"pending"}
    desk.answer(attempt, "accepted")
    assert desk.woken == late
    take(desk, 300, "later")


def test_a_limit_that_was_met_is_tried_once_a_minute(desk: Desk) -> None:
    """It may have been raised meanwhile; until it is, one page a minute is refused."""
    refused = meet(desk)
    go_to(desk, 60)
    desk.send(refused)
    take(desk, FLOOR - 1, "again")
    late = record(desk, 2, "late")
    assert desk.look(late[0]).until == START + seconds(70)
    go_to(desk, 70)
    assert desk.look(late[1]).until == START + 2 * MINUTE
    refuse(desk, late[0])
    assert desk.look(late[0]).until == START + 2 * MINUTE


@pytest.mark.parametrize("answered", [FLOOR - 1, FLOOR])
def test_what_was_under_way_when_the_limit_was_met_belongs_to_it(desk: Desk, answered: int) -> None:
    """It was begun before the refusal, so it does not show that the refusal had another reason."""
    take(desk, answered)
    attempt = desk.begin(desk.record("trigger", key="under way"))
    desk.send(desk.record("trigger", key="refused"), REFUSAL)
    desk.answer(attempt, "accepted")
    desk.clock.advance(HOLD)
    assert desk.status(desk.record("trigger", key="late")) == "pending"


@pytest.mark.parametrize("lost", ["unknown", RuntimeError("a fault in the provider")])
def test_what_may_have_been_taken_counts(desk: Desk, lost: str | Exception) -> None:
    """The service has counted it, whatever became of its answer."""
    take(desk, FLOOR - 1)
    desk.send(desk.record("trigger", key="lost"), lost)
    refuse(desk, desk.record("trigger", key="refused"))
    assert desk.status(desk.record("trigger", key="late")) == "pending"


def test_a_try_whose_answer_is_lost_shows_nothing(desk: Desk) -> None:
    """The next one tries again; all others wait."""
    take(desk, FLOOR)
    refused = desk.record("trigger", key="refused")
    refuse(desk, refused)
    attempt, late = desk.begin(refused), record(desk, 2, "late")
    desk.answer(attempt, "unknown")
    assert desk.begin(late[0]).waits == "send"
    assert desk.look(late[1]).until == START + MINUTE


def test_a_slow_answer_lets_nobody_believe_in_a_higher_limit(desk: Desk) -> None:
    """The service counts from the moment at which a request came in, and that may be long before its answer."""
    slow = desk.begin(desk.record("trigger", key="slow"))
    go_to(desk, 30)
    desk.answer(slow, "accepted")
    take(desk, FLOOR - 1)
    refused = desk.record("trigger", key="refused")
    refuse(desk, refused)
    go_to(desk, 70)
    attempt = desk.begin(refused)
    record(desk, 1, "late")
    desk.answer(attempt, "accepted")
    assert desk.woken == []


def test_what_was_not_taken_leaves_its_room_to_the_next(desk: Desk) -> None:
    """A request that failed before the service counted it counts here as little."""
    refused = meet(desk)
    late = record(desk, FLOOR, "late")
    go_to(desk, 60)
    desk.send(refused, "unavailable")
    for row_id in late:
        desk.send(row_id)


def test_a_page_that_is_cancelled_gives_up_its_place(desk: Desk) -> None:
    """A thousand runs that were cancelled keep no newer page waiting."""
    meet(desk)
    late = record(desk, FLOOR, "late")
    assert desk.look(late[-1]).until == START + 2 * MINUTE
    desk.log.cancel(late[0])
    assert desk.look(late[-1]).until == START + MINUTE


def test_a_page_that_does_not_come_back_keeps_nobody_waiting(desk: Desk) -> None:
    """Its run may have been left to another process."""
    desk.look(meet(desk))
    late = record(desk, FLOOR, "late")
    go_to(desk, 60)
    assert desk.look(late[-1]).until == START + 2 * MINUTE
    desk.clock.advance(2 * PATIENCE)
    desk.send(late[-1])


def test_a_page_waits_no_longer_than_its_deadline(desk: Desk) -> None:
    """A job that waits half a minute hears after half a minute."""
    meet(desk)
    job = desk.record("trigger", deadline_s=30.0)
    until = desk.look(job).until
    assert until == desk.clock.now() + seconds(30)
    go_to(desk, 45)
    assert desk.look(job).row.status == "undelivered"


def test_a_second_resolve_waits_like_every_other_event(desk: Desk) -> None:
    """It leaves under the same routing key, a minute after a page whose answer was lost."""
    desk.send(desk.record("trigger"), "unknown")
    resolve = desk.record("resolve")
    desk.send(resolve)
    go_to(desk, 55)
    refused = meet(desk)
    assert desk.look(resolve).until == START + seconds(115)
    go_to(desk, 115)
    desk.send(refused)
    desk.begin(resolve).go_on(REFUSAL)
    assert desk.disk[resolve].repeat_at is not None


def test_a_second_resolve_may_be_the_try_that_frees_all(desk: Desk) -> None:
    """It shows as much as a page."""
    desk.send(desk.record("trigger"), "unknown")
    resolve = desk.record("resolve")
    desk.send(resolve)
    go_to(desk, 60)
    take(desk, FLOOR)
    refused = desk.record("trigger", key="refused")
    refuse(desk, refused)
    desk.log.cancel(refused)
    attempt, late = desk.begin(resolve), record(desk, 3, "late")
    desk.answer(attempt, "accepted")
    assert desk.woken[-3:] == late


def test_a_clock_that_was_set_back_holds_nothing(desk: Desk) -> None:
    """What seems to have left in an hour has left."""
    refused = meet(desk)
    desk.clock.advance(-60 * MINUTE)
    desk.send(refused)
    take(desk, 300, "later")
