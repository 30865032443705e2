"""Promise 2, of parts: pages of a list, items and heartbeats: what an attempt has come to is not lost with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from resolute import Page, RateLimit, Retry, current, input_data, item, now, output
from tests.contract.engine.book import Call, after, hang
from tests.contract.engine.flows import act_in_thread, begin, do, of, walk_pages
from tests.contract.engine.machine import Machine, node


def pages(*all_pages: list[int]) -> Any:
    """A behaviour: the page that was asked for; each names the next."""

    def perform(call: Call) -> Page[Any]:
        number = call.given["page"] or 0
        return Page(items=all_pages[number], next=number + 1 if number + 1 < len(all_pages) else None)

    return perform


async def test_a_list_is_read_on_at_the_page_where_it_stopped(machine: Machine) -> None:
    """The pages before it are not asked for again; the flow sees one list."""
    made = of(walk_pages(given=input_data("q")).as_("list"), do("b", output("list")))
    machine.book.always("list", pages([1, 2], [3], [4, 5]))
    machine.book.will("list", pages([1, 2], [3], [4, 5]), hang)
    await machine.up(made)
    await machine.start(input={"q": "x"})
    await machine.called("list", 2)
    await machine.kill()
    await machine.up(made)
    assert (await machine.result()).output["b"] == [1, 2, 3, 4, 5]
    assert [call.given["page"] for call in machine.book.of("list")] == [None, 1, 1, 2]
    assert [call.position for call in machine.book.of("list")] == ["list[0]", "list[1]", "list[1]", "list[2]"]


async def test_every_page_is_retried_by_itself(machine: Machine) -> None:
    """A page that fails costs that page's attempts."""
    made = of(walk_pages().as_("list").with_retry(Retry(attempts=2)))
    first, busy = pages([1], [2], [3]), ValueError("busy")
    machine.book.will("list", busy, first, busy, first, busy, first)
    assert (await machine.run(made)).output == {"list": [1, 2, 3]}


async def test_a_list_that_goes_round_in_circles_fails(machine: Machine) -> None:
    """It would never end."""
    machine.book.always("list", Page[Any](items=[1], next="same"))
    view = await machine.run(of(walk_pages().as_("list")))
    assert "Page 1 of walk_pages names a page as its next that was asked before: 'same'" in view.error


async def test_every_page_sees_the_same_inputs(machine: Machine) -> None:
    """All its `now()` are one instant, kill or not."""
    machine.book.always("list", pages([1], [2]))
    machine.book.will("list", pages([1], [2]), hang)
    made = of(walk_pages(given=now()).as_("list"))
    await machine.up(made)
    await machine.start()
    await machine.called("list", 2)
    await machine.kill()
    await machine.wait(hours=1)
    await machine.up(made)
    await machine.result()
    assert len({call.given["given"] for call in machine.book.calls}) == 1


# Heartbeats


async def test_what_an_attempt_said_last_is_handed_to_the_next_one(machine: Machine) -> None:
    """Also when it was lost with its worker."""

    async def beat(call: Call) -> None:
        for number in range(1, 6):
            current().heartbeat({"done": number})
            await after(2)(call)
        await hang(call)

    machine.book.will("a", beat)
    await machine.up(of(do("a")))
    await machine.start()
    await machine.wait(seconds=20)
    assert node(await machine.engine.get("r"), "a").heartbeat == {"done": 5}
    await machine.kill()
    await machine.up(of(do("a")))
    await machine.result()
    assert [call.details for call in machine.book.calls] == [None, {"done": 5}]


async def test_what_a_failed_attempt_said_is_handed_on(machine: Machine) -> None:
    """Through its backoff."""

    def beat(call: Call) -> None:
        current().heartbeat("half")
        raise ValueError("no")

    machine.book.will("a", beat)
    await machine.run(of(do("a", tries=2)))
    assert [call.details for call in machine.book.calls] == [None, "half"]


async def test_a_plain_function_says_how_far_it_is_from_its_thread(machine: Machine) -> None:
    """And is handed what was said."""

    def beat() -> str:
        current().heartbeat([1, 2])
        return "done"

    machine.book.will("a", beat)
    view = await machine.run(of(act_in_thread().as_("a")))
    assert node(view, "a").heartbeat == [1, 2]


async def test_items_that_were_done_are_not_done_again(machine: Machine) -> None:
    """Of an each with a rate limit, killed halfway, only what was left is done."""
    body = do("a", item()).with_rate_limit(RateLimit(1, per=timedelta(minutes=1)))
    made = begin().then_each("all", over=list(range(1, 7)), body=body, limit=3).build()
    await machine.up(made)
    await machine.start()
    await machine.called("a", 3)
    await machine.wait(seconds=30)
    await machine.kill()
    await machine.up(made)
    await machine.result()
    assert sorted(call.given for call in machine.book.calls) == [1, 2, 3, 4, 5, 6]
