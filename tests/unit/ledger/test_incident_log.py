"""`IncidentLog` alone, step by step: what is sent, in which order, what is written before, who is woken."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from resolute.errors import ConfigError, ProviderOutcomeUnknown, ProviderUnavailable
from resolute.ledger.incident_log import IN_FLIGHT_CHECK, KeyGone
from resolute.ledger.row import Row
from resolute.ledger.shared import Claim, Granted
from tests.unit.ledger.desk import START, Desk, Try, make_row, minutes, seconds


@pytest.fixture
def desk() -> Desk:
    """A log with an empty disk."""
    return Desk()


# What is written when


def test_row_of_a_free_lane_is_sending_in_the_batch_that_decides_it(desk: Desk) -> None:
    """One commit for one page: the first attempt needs no batch of its own."""
    page = desk.record("trigger")
    assert (desk.status(page), desk.disk[page].attempts) == ("sending", 1)
    assert Try(desk, page).waits == "send"


def test_row_behind_a_request_on_its_way_is_pending(desk: Desk) -> None:
    """`pending` on disk says that nothing was sent."""
    first, second = desk.record("trigger"), desk.record("trigger")
    assert (desk.status(first), desk.status(second)) == ("sending", "pending")


def test_nothing_is_sent_before_its_write_has_returned(desk: Desk) -> None:
    """A request of which the disk knows nothing could not be looked for after a crash."""
    page = desk.record("trigger")
    outcome = desk.send(page, "unavailable")
    assert outcome.until is not None
    desk.clock.advance(outcome.until - desk.clock.now())
    attempt = Try(desk, page)
    assert attempt.waits == "write"
    assert (desk.status(page), desk.disk[page].attempts) == ("sending", 2)
    attempt.written()
    assert attempt.waits == "send"


def test_settled_row_is_never_sent_again(desk: Desk) -> None:
    """An attempt at a settled row returns what is known of it."""
    page = desk.record("trigger")
    desk.send(page)
    assert desk.look(page).row.status == "accepted"
    assert desk.actions == ["trigger"]


def test_row_that_is_being_sent_is_not_sent_by_a_second_attempt(desk: Desk) -> None:
    """A page that goes on without its run may be retried while its request is on its way."""
    page = desk.record("trigger")
    first = desk.begin(page)
    assert desk.log.is_at_work(page)
    assert desk.look(page).until == START + IN_FLIGHT_CHECK
    desk.answer(first, "accepted")
    assert not desk.log.is_at_work(page)
    assert desk.actions == ["trigger"]


def test_refused_content_is_a_row_without_an_attempt(desk: Desk) -> None:
    """What must not be sent is recorded as rejected all the same, and stands in nobody's way."""
    desk.record("trigger", status="rejected", message="no")
    page = desk.record("trigger")
    desk.send(page)
    assert [(row.status, row.attempts) for row in desk.disk.values()] == [("rejected", 0), ("accepted", 1)]


# Order


def test_acknowledge_waits_for_the_page_before_it_and_is_woken(desk: Desk) -> None:
    """Oldest first, one request in flight."""
    page, acknowledge = desk.record("trigger"), desk.record("acknowledge")
    attempt = desk.begin(page)
    assert desk.look(acknowledge).row.status == "pending"
    desk.answer(attempt, "accepted")
    assert desk.woken == [acknowledge]
    desk.send(acknowledge)
    assert desk.actions == ["trigger", "acknowledge"]


def test_decision_made_while_a_request_is_on_its_way_takes_effect_when_that_fails(desk: Desk) -> None:
    """A page that fails after the all-clear was decided is not repeated."""
    page = desk.record("trigger")
    attempt = desk.begin(page)
    resolve = desk.record("resolve")
    assert desk.status(page) == "sending"
    outcome = desk.answer(attempt, "unavailable")
    assert (outcome.row.status, desk.status(page), desk.woken) == ("superseded", "superseded", [resolve])


def test_everybody_whose_place_was_taken_is_woken_when_the_request_on_its_way_fails(desk: Desk) -> None:
    """The page itself hears of it as its answer; who waits behind it is woken at once."""
    attempt = desk.begin(desk.record("trigger"))
    acknowledge, resolve = desk.record("acknowledge"), desk.record("resolve")
    desk.answer(attempt, "unavailable")
    assert desk.status(acknowledge) == "superseded"
    assert desk.woken == [acknowledge, resolve]


def test_request_on_its_way_keeps_its_place_whatever_else_of_its_lane_is_settled(desk: Desk) -> None:
    """A run behind it is cancelled: that is no reason to give up a page that may be arriving just now."""
    page = desk.record("trigger")
    attempt = desk.begin(page)
    cancelled, newer = desk.record("acknowledge"), desk.record("trigger")
    desk.hand_in(desk.log.cancel(cancelled).changed)
    assert desk.status(page) == "sending"
    desk.answer(attempt, "accepted")
    assert (desk.status(page), desk.woken) == ("accepted", [newer])


def test_row_behind_another_looks_again_within_a_minute(desk: Desk) -> None:
    """Should the process die between a settlement and the wake-up, the next row does not wait for a day."""
    desk.begin(desk.record("trigger"))
    outcome = desk.look(desk.record("acknowledge"))
    assert outcome.until is not None
    assert outcome.until - desk.clock.now() <= minutes(1)


def test_lanes_do_not_wait_for_each_other(desk: Desk) -> None:
    """Another alert, or another routing key, is another lane."""
    desk.begin(desk.record("trigger"))
    assert desk.begin(desk.record("trigger", key="cpu")).waits == "send"
    assert desk.begin(desk.record("trigger", key_digest="k2")).waits == "send"


# The second request of a resolve


def owing_resolve(desk: Desk) -> int:
    """A resolve, accepted just now, over a page of unknown outcome."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    resolve = desk.record("resolve")
    desk.send(resolve)
    desk.log.taken(resolve)
    return resolve


def test_resolve_over_a_page_of_unknown_outcome_is_sent_once_more(desk: Desk) -> None:
    """The lost page may take effect after the resolve; the second one closes what it opened."""
    resolve = owing_resolve(desk)
    assert [row.id for row in desk.log.follow_ups()] == [resolve]
    assert desk.log.follow_up_at(desk.log.follow_ups()[0]) == desk.clock.now() + seconds(60)
    assert desk.look(resolve).until == desk.clock.now() + seconds(60)
    desk.clock.advance(seconds(60))
    desk.send(resolve)
    assert desk.actions == ["trigger", "resolve", "resolve"]
    assert desk.log.follow_ups() == []
    assert desk.disk[resolve].repeat_at is None


def test_second_resolve_survives_a_restart(desk: Desk) -> None:
    """It is owed by the row and not by the process."""
    resolve = owing_resolve(desk)
    desk.restart()
    desk.clock.advance(seconds(60))
    desk.send(resolve)
    assert desk.actions[-1] == "resolve"


def test_newer_page_drops_the_second_resolve(desk: Desk) -> None:
    """It would close the alert of a problem that has come back."""
    resolve = owing_resolve(desk)
    desk.send(desk.record("trigger"))
    assert desk.disk[resolve].repeat_at is None
    assert desk.log.follow_ups() == []


def test_page_decided_while_the_resolve_is_on_its_way_drops_the_second_one(desk: Desk) -> None:
    """Also then the page is the newer decision."""
    desk.send(desk.record("trigger"), "unknown")
    resolve = desk.record("resolve")
    attempt = desk.begin(resolve)
    page = desk.record("trigger")
    desk.answer(attempt, "accepted")
    desk.send(page)
    desk.clock.advance(minutes(2))
    assert desk.disk[resolve].repeat_at is None
    assert desk.log.follow_ups() == []


@pytest.mark.parametrize("answer", ["accepted", "unavailable", "unknown", "rejected"])
def test_page_decided_while_the_second_resolve_is_on_its_way_is_sent_after_it(desk: Desk, answer: str) -> None:
    """Whatever becomes of the second resolve, it is not tried a third time, and the page comes last."""
    resolve = owing_resolve(desk)
    desk.clock.advance(seconds(60))
    attempt = desk.begin(resolve)
    page = desk.record("trigger")
    assert desk.look(page).row.status == "pending"
    desk.answer(attempt, answer)
    assert desk.woken[-1] == page
    assert desk.log.follow_ups() == []
    desk.send(page)
    assert desk.disk[resolve].repeat_at is None
    assert desk.log.open_keys == {"disk"}


def test_resolve_that_a_page_took_the_place_of_is_never_sent(desk: Desk) -> None:
    """Not even though it owed a second request: it would close the alert of the page."""
    desk.send(desk.record("trigger"), "unknown")
    resolve = desk.record("resolve")
    desk.send(resolve, "unavailable")
    desk.send(desk.record("trigger"))
    assert desk.status(resolve) == "superseded"
    assert desk.log.follow_ups() == []


@pytest.mark.parametrize("how", ["expired", "undelivered", "rejected", "cancelled"])
def test_resolve_that_was_not_accepted_owes_no_second_request(desk: Desk, how: str) -> None:
    """What was given up for good is not sent an hour later under another name."""
    desk.send(desk.record("trigger"), "unknown")
    resolve = desk.record("resolve", scheduled=how == "expired", deadline_s=1800)
    desk.send(resolve, "rejected" if how == "rejected" else "unavailable")
    if how == "cancelled":
        desk.hand_in(desk.log.cancel(resolve).changed)
    elif how != "rejected":
        desk.clock.advance(minutes(31))
        desk.look(resolve)
    assert desk.status(resolve) == how
    assert desk.log.follow_ups() == []


def test_second_resolve_is_owed_whatever_came_in_between(desk: Desk) -> None:
    """A page of unknown outcome, a resolve, a page that is cancelled, a resolve: the last one owes it."""
    desk.send(desk.record("trigger"), "unknown")
    desk.send(desk.record("resolve"), "unavailable")
    page = desk.record("trigger")
    desk.send(page, "unavailable")
    desk.hand_in(desk.log.cancel(page).changed)
    resolve = desk.record("resolve")
    desk.send(resolve)
    assert [row.id for row in desk.log.follow_ups()] == [resolve]


def test_second_resolve_is_owed_after_a_repeat_that_was_accepted_just_now(desk: Desk) -> None:
    """The first request of the page may still be under way."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(seconds(1))
    desk.send(page)
    resolve = desk.record("resolve")
    desk.send(resolve)
    assert [row.id for row in desk.log.follow_ups()] == [resolve]


def test_failing_second_resolve_is_tried_for_an_hour(desk: Desk) -> None:
    """The service may be down again by then."""
    resolve = owing_resolve(desk)
    times = 0
    while desk.log.follow_ups():
        desk.clock.advance(seconds(60))
        desk.send(resolve, "unavailable")
        times += 1
    assert times == 60


def test_second_resolve_waits_for_a_delay_that_the_server_named(desk: Desk) -> None:
    """A named delay holds for everything of the routing key."""
    resolve = owing_resolve(desk)
    desk.clock.advance(seconds(59))
    desk.send(desk.record("trigger", key="cpu"), ProviderUnavailable("429", retry_after=seconds(30)))
    desk.clock.advance(seconds(1))
    assert desk.look(resolve).until == desk.clock.now() + seconds(29)
    desk.clock.advance(seconds(29))
    desk.send(resolve, ProviderUnavailable("429", retry_after=minutes(5)))
    follow_up_at = desk.log.follow_up_at(desk.log.follow_ups()[0])
    assert follow_up_at == desk.clock.now() + minutes(5)


def test_second_resolve_waits_for_a_request_of_its_lane_without_spinning(desk: Desk) -> None:
    """It is told a time that lies ahead."""
    resolve = owing_resolve(desk)
    desk.begin(desk.record("acknowledge"))
    desk.clock.advance(seconds(60))
    outcome = desk.look(resolve)
    assert outcome.until is not None
    assert outcome.until > desk.clock.now()


# Unknown outcomes


def test_request_on_its_way_when_the_process_died_is_of_unknown_outcome(desk: Desk) -> None:
    """`sending` on disk means that nobody knows."""
    page = desk.record("trigger")
    desk.clock.advance(seconds(5))
    changed = desk.restart()
    assert [(row.id, row.unknown_since) for row in changed] == [(page, START)]
    assert desk.disk[page].unknown_since == START


def test_pending_row_was_not_sent_when_the_process_died(desk: Desk) -> None:
    """`pending` on disk means that it is simply sent."""
    page = desk.record("trigger")
    desk.send(page, "unavailable")
    assert desk.restart() == []
    desk.clock.advance(minutes(10))
    assert desk.begin(page).waits == "send"


def test_repeat_within_a_minute_asks_nobody(desk: Desk) -> None:
    """The dedup key folds it into the same alert."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(seconds(60))
    assert desk.begin(page).waits == "send"


def test_later_repeat_looks_first_and_settles_what_it_finds(desk: Desk) -> None:
    """A person may have resolved the incident by now; repeating the page would page again."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(minutes(10))
    attempt = desk.begin(page)
    assert attempt.question == ("disk", START - minutes(5), START + minutes(15))
    attempt.go_on(True)
    assert (desk.status(page), desk.disk[page].message) == ("accepted", "found at the service by look-up")
    assert not desk.disk[page].may_repeat


@pytest.mark.parametrize(
    ("found", "may_repeat"),
    [(False, False), (None, True), (ProviderUnavailable("503"), True), (RuntimeError("a fault in the provider"), True)],
)
def test_page_that_is_not_found_is_sent(desk: Desk, found: object, may_repeat: bool) -> None:
    """Better twice than never, and the row says when it may be twice."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(minutes(10))
    attempt = desk.begin(page)
    attempt.go_on(found)
    attempt.written()
    desk.answer(attempt, "accepted")
    assert (desk.status(page), desk.disk[page].may_repeat) == ("accepted", may_repeat)


def test_look_up_that_another_routing_key_could_answer_decides_nothing(desk: Desk) -> None:
    """Two services paged under one dedup key: the incident of the one does not stand for the other's."""
    desk.send(desk.record("trigger", key_digest="k2"))
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(minutes(10))
    attempt = desk.begin(page)
    if attempt.waits == "look":
        attempt.go_on(True)
    attempt.written()
    desk.answer(attempt, "accepted")
    assert (desk.disk[page].attempts, desk.disk[page].may_repeat) == (2, True)


def test_clock_set_back_after_the_request_does_not_hide_it_from_the_look_up(desk: Desk) -> None:
    """The look-up reaches past the moment of the request whatever the clock says now."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(minutes(10))
    attempt = desk.begin(page)
    desk.clock.advance(-timedelta(hours=1))
    attempt.go_on(ProviderUnavailable("503"))
    attempt.written()
    desk.answer(attempt, "unknown")
    desk.clock.advance(minutes(58))
    attempt = desk.begin(page)
    assert attempt.waits == "look"
    _, since, until = attempt.question
    assert since < START + minutes(-2) < until


def test_unforeseen_fault_of_a_provider_costs_neither_page_nor_lane(desk: Desk) -> None:
    """It counts as an unknown outcome and is tried again."""
    page = desk.record("trigger")
    outcome = desk.send(page, ValueError("a fault in the provider"))
    assert outcome.row.is_unknown
    assert outcome.until is not None
    desk.clock.advance(outcome.until - desk.clock.now())
    desk.send(page)
    assert desk.status(page) == "accepted"


def test_page_whose_provider_is_gone_waits_for_it(desk: Desk) -> None:
    """The worker was started without the account that the row belongs to; nothing is lost by that."""
    page = desk.record("trigger")
    desk.restart()
    kept = desk.services.pop(("pagerduty", ""))
    outcome = desk.look(page)
    assert (outcome.row.status, outcome.until) == ("sending", desk.clock.now() + seconds(60))
    assert 'provider "pagerduty"' in outcome.row.error_message
    desk.services["pagerduty", ""] = kept
    desk.clock.advance(seconds(60))
    desk.send(page)
    assert desk.status(page) == "accepted"


# Waits


def test_waits_grow_to_the_maximum_and_keep_their_jitter(desk: Desk) -> None:
    """Between half and the whole of 1, 2, 4, ... 60 seconds."""
    page = desk.record("trigger")
    waits = []
    for _ in range(10):
        outcome = desk.send(page, "unavailable")
        assert outcome.until is not None
        waits.append(outcome.until - desk.clock.now())
        desk.clock.advance(waits[-1])
    for wait, whole in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60], strict=True):
        assert seconds(whole / 2) <= wait <= seconds(whole)
    assert len(set(waits[-4:])) == 4


def test_named_delay_holds_for_its_routing_key_and_no_new_row_jumps_it(desk: Desk) -> None:
    """Other routing keys of the same host go on."""
    desk.send(desk.record("trigger"), ProviderUnavailable("429", retry_after=seconds(30)))
    held, free = desk.record("trigger", key="cpu"), desk.record("trigger", key="cpu", key_digest="k2")
    assert (desk.status(held), desk.status(free)) == ("pending", "sending")
    assert desk.look(held).until == START + seconds(30)
    desk.send(free)
    desk.clock.advance(seconds(30))
    desk.send(held)


def test_named_delay_survives_a_restart_and_the_row_that_met_it(desk: Desk) -> None:
    """The page that was told to wait is superseded; the new one waits in its place, also after a restart."""
    desk.send(desk.record("trigger"), ProviderUnavailable("429", retry_after=minutes(10)))
    page = desk.record("trigger")
    desk.restart()
    assert desk.look(page).until == START + minutes(10)


def test_no_server_is_obeyed_for_more_than_an_hour(desk: Desk) -> None:
    """A date in a far year would silence the pager."""
    page = desk.record("trigger")
    outcome = desk.send(page, ProviderUnavailable("429", retry_after=timedelta(days=400)))
    assert outcome.until == START + timedelta(hours=1)


def test_clock_that_was_set_back_drops_named_delays(desk: Desk) -> None:
    """A delay of 30 seconds does not become an hour and 30 seconds."""
    page = desk.record("trigger")
    desk.send(page, ProviderUnavailable("429", retry_after=seconds(30)))
    desk.clock.advance(-timedelta(hours=1))
    assert desk.begin(page).waits == "send"


def test_missing_routing_key_is_waited_for(desk: Desk) -> None:
    """Its owner has to act; the page goes out a minute after the secret is there."""
    page = desk.record("trigger")
    reads = iter([ConfigError("The secret KEY is not set."), None])

    def read(row: object) -> str:
        problem = next(reads)
        if problem is not None:
            raise problem
        return "r" * 32

    desk.log._routing_key = read
    outcome = desk.look(page)
    assert (outcome.until, outcome.row.error_message) == (START + seconds(60), "The secret KEY is not set.")
    desk.clock.advance(seconds(60))
    desk.send(page)
    assert desk.status(page) == "accepted"


@pytest.mark.parametrize(
    ("answer", "found", "status", "message"),
    [
        ("unavailable", None, "undelivered", "interrupted: the process that held its key ended (never sent)"),
        ("unknown", False, "undelivered", "interrupted: the process that held its key ended (sent, outcome unknown)"),
        ("unknown", True, "accepted", "found at the service by look-up"),
    ],
)
def test_page_whose_key_lived_in_a_process_that_ended(
    desk: Desk, answer: str, found: bool | None, status: str, message: str
) -> None:
    """Nobody can send it any more; what became of its request is asked for, and told."""
    page = desk.record("trigger")
    desk.send(page, answer)

    def gone(row: object) -> str:
        raise KeyGone("input:service_key")

    desk.log._routing_key = gone
    desk.clock.advance(seconds(2))
    attempt = desk.begin(page)
    if attempt.waits == "look":
        attempt.go_on(found)
    assert (desk.status(page), desk.disk[page].message) == (status, message)


# The end of sending


def test_page_is_undelivered_after_its_time(desk: Desk) -> None:
    """24 hours by default; the row says what the service answered last, and an open lane is left behind."""
    page = desk.record("trigger", deadline_s=600)
    outcome = desk.send(page, "unavailable")
    while not outcome.row.is_settled:
        assert outcome.until is not None
        desk.clock.advance(outcome.until - desk.clock.now())
        attempt = desk.begin(page)
        outcome = attempt.outcome if attempt.outcome is not None else desk.answer(attempt, "unavailable")
    assert outcome.row.status == "undelivered"
    assert outcome.row.message == "not accepted within 10 min; the last answer was: 503"
    assert desk.clock.now() - START == minutes(10)
    desk.send(desk.record("trigger"))


def test_rejected_page_settles_at_once_and_frees_its_lane(desk: Desk) -> None:
    """Repeating it cannot help; the next one may be better."""
    page, other = desk.record("trigger"), desk.record("acknowledge")
    desk.send(page, "rejected")
    assert (desk.status(page), desk.disk[page].response_status) == ("rejected", "invalid event")
    assert desk.woken == [other]


def test_page_that_may_have_arrived_before_it_was_given_up_may_be_open(desk: Desk) -> None:
    """A check that asks whether the alert is open must then say yes, or nobody ever resolves it."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.clock.advance(seconds(10))
    desk.send(page, "rejected")
    assert desk.log.open_keys == {"disk"}
    desk.restart()
    assert desk.log.open_keys == {"disk"}
    desk.send(desk.record("resolve"))
    assert desk.log.open_keys == frozenset()


# Folding and lateness


def test_page_into_an_open_alert_says_which(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """It is sent all the same: a person may have resolved the alert in between."""
    desk.send(desk.record("trigger"))
    desk.clock.advance(minutes(90))
    page = desk.record("trigger")
    desk.send(page)
    assert desk.disk[page].folded_into == 1
    assert desk.disk[page].remarks == ("folded into the open alert of row 1, 1 h 30 min old",)
    assert caplog.records == []


def test_page_into_an_alert_of_more_than_a_day_warns(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody may have been notified this time."""
    desk.send(desk.record("trigger"))
    desk.clock.advance(timedelta(hours=25))
    with caplog.at_level(logging.WARNING, "resolute.ledger"):
        desk.send(desk.record("trigger"))
    assert "nobody may have been notified" in caplog.text


def test_page_after_one_of_unknown_outcome_is_not_folded(desk: Desk) -> None:
    """Nobody knows whether there is an alert to fold into, so nothing is claimed."""
    desk.send(desk.record("trigger"), "unknown")
    desk.clock.advance(seconds(30))
    page = desk.record("trigger")
    desk.send(page)
    assert (desk.disk[page].folded_into, desk.disk[page].remarks) == (None, ())


def test_accepted_resolve_closes_what_was_open_before_it(desk: Desk) -> None:
    """Also what a fold and a page of unknown outcome left behind."""
    desk.send(desk.record("trigger"))
    desk.send(desk.record("trigger"))
    desk.send(desk.record("trigger"), "unknown")
    assert desk.log.open_keys == {"disk"}
    resolve = desk.record("resolve")
    assert desk.log.open_keys == {"disk"}
    desk.send(resolve)
    assert desk.log.open_keys == frozenset()
    desk.restart()
    assert desk.log.open_keys == frozenset()


def test_late_page_counts_from_the_first_page_it_stands_for(desk: Desk) -> None:
    """`timestamp`, lateness and the remark tell when somebody should have been told."""
    desk.send(desk.record("trigger"), "unavailable")
    desk.clock.advance(minutes(48))
    page = desk.record("trigger")
    desk.send(page)
    assert (desk.sent[-1]["since"], desk.sent[-1]["late"]) == (START, minutes(48))
    assert (desk.disk[page].remarks, desk.disk[page].late_s) == (("48 min late",), 2880.0)


# Waiters


def test_superseded_row_wakes_who_waits_for_it(desk: Desk) -> None:
    """Its run goes on with the output "superseded"."""
    page = desk.record("trigger")
    desk.send(page, "unavailable")
    desk.record("resolve")
    assert desk.woken == [page]


def test_page_that_is_left_goes_on_as_the_engines_own_follow_up(desk: Desk) -> None:
    """No node waits any more, and nobody is woken."""
    page = desk.record("trigger")
    desk.send(page, "unavailable")
    desk.hand_in([desk.log.leave(page)])
    desk.restart()
    follow_up = desk.log.follow_ups()[0]
    assert (follow_up.id, desk.log.follow_up_at(follow_up)) == (page, desk.disk[page].due_at)
    desk.clock.advance(seconds(1))
    desk.send(page)
    assert (desk.status(page), desk.woken, desk.log.follow_ups()) == ("accepted", [], [])


def test_left_page_that_a_newer_decision_replaces_in_mid_air_is_settled_on_disk(desk: Desk) -> None:
    """Else it would be sent after the next restart, long after the all-clear."""
    page = desk.record("trigger")
    desk.hand_in([desk.log.leave(page)])
    attempt = desk.begin(page)
    resolve = desk.record("resolve")
    desk.answer(attempt, "unavailable")
    assert (desk.status(page), desk.woken) == ("superseded", [resolve])


def test_left_page_that_a_newer_decision_replaces_during_its_look_up(desk: Desk) -> None:
    """The look-up ends, the page is settled, the newer one has its turn."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.hand_in([desk.log.leave(page)])
    desk.clock.advance(minutes(5))
    attempt = desk.begin(page)
    resolve = desk.record("resolve")
    attempt.go_on(False)
    assert (attempt.waits, desk.status(page), desk.woken) == ("", "superseded", [resolve])


def test_cancelling_settles_what_was_never_sent(desk: Desk) -> None:
    """And wakes whoever waits behind it."""
    page = desk.record("trigger")
    desk.send(page, "unavailable")
    acknowledge = desk.record("acknowledge")
    outcome = desk.log.cancel(page)
    assert (outcome.row.status, outcome.row.message) == ("cancelled", "its run was cancelled")
    assert [row.id for row in outcome.wake] == [acknowledge]


def test_cancelling_leaves_what_may_have_arrived(desk: Desk) -> None:
    """It is followed up until its outcome is known."""
    page = desk.record("trigger")
    desk.send(page, "unknown")
    desk.hand_in(desk.log.cancel(page).changed)
    assert [row.id for row in desk.log.follow_ups()] == [page]


@pytest.mark.parametrize("first", ["trigger", "resolve"])
def test_cancelling_after_the_row_was_settled_changes_nothing(desk: Desk, first: str) -> None:
    """The run of a superseded or accepted row is cancelled before it has seen that."""
    page = desk.record("trigger")
    desk.send(page, "unavailable")
    if first == "resolve":
        desk.record("resolve")
    else:
        desk.clock.advance(seconds(1))
        desk.send(page)
    before = desk.disk[page].status
    desk.hand_in(desk.log.cancel(page).changed)
    assert desk.status(page) == before


def test_rows_of_the_past_leave_memory(desk: Desk) -> None:
    """Memory stays flat however many pages were sent, restarts or not."""
    for number in range(20):
        key = f"disk-{number}"
        page, resolve = desk.record("trigger", key=key), desk.record("resolve", key=key)
        desk.send(page)
        desk.log.taken(page)
        if number % 3 == 0:
            desk.restart()
        desk.send(resolve)
        desk.log.taken(resolve)
    assert (desk.log._book.rows, desk.log._book.lanes, desk.log._outcomes.begun) == ({}, {}, set())


class Left:
    """A shared ledger that grants a row of which another worker has made two requests, the second of them unheard."""

    async def claim(self, row: Row) -> Claim:
        return Granted(attempts=2, lost=1, unknown_since=START - minutes(2))


def test_row_that_another_worker_left_goes_on_where_it_stood() -> None:
    """What may have been sent long ago is looked up before it is sent again, and its attempts are counted on."""
    desk = Desk(shared=Left())
    first, second = desk.record("trigger"), desk.record("trigger", key="other", retry=(1.0, 2.0, 60.0, 0.5, 1))
    attempt = desk.begin(first)
    assert attempt.waits == "look"
    attempt.go_on(False)
    assert desk.answer(attempt.written(), "accepted").row.attempts == 3
    assert desk.look(second).row.status == "undelivered"


def test_errors_are_scrubbed_before_they_are_kept(desk: Desk) -> None:
    """No secret reaches the disk by way of an error's text."""
    page = desk.record("trigger")
    desk.send(page, ProviderOutcomeUnknown("the proxy said hunter22"))
    assert desk.disk[page].error_message == "the proxy said ••••"


def test_load_gives_back_what_was_known() -> None:
    """Rows that matter are enough to go on from."""
    desk = Desk()
    desk.send(desk.record("trigger", key="open"))
    desk.send(desk.record("trigger", key="waiting"), "unavailable")
    desk.send(desk.record("trigger", key="unknown"), "unknown")
    owing_resolve(desk)
    before = (desk.log.unsettled(), desk.log.open_keys, desk.log.follow_ups())
    desk.restart()
    assert (desk.log.unsettled(), desk.log.open_keys, desk.log.follow_ups()) == before
    assert desk.record("trigger") == 6
    assert desk.log.row(99) is None
    assert make_row().is_settled is False
