"""What `self` links lead to; that each of them does is shown with the contract of answers."""

from __future__ import annotations

import pytest

from resolute.simulator.pagerduty.operation import Operation
from resolute.simulator.pagerduty.operations import LINKED
from tests.unit.simulator.account import Account


@pytest.mark.parametrize(
    "operation", [each for each in LINKED if "{" in each.path], ids=lambda operation: operation.name
)
def test_a_link_to_nothing_is_404(account: Account, operation: Operation) -> None:
    """Also where the first id of two is a good one."""
    account.send()
    first = account.sim.first_user.id if operation.path.startswith("/users") else "1"
    known = operation.path.count("{") > 1
    path = operation.path.replace("{id}", first if known else "PNONE").partition("{")[0]
    answer = account.request("GET", f"{path}PNONE" if known else path)
    assert (answer.status, answer.json()["error"]["code"]) == (404, 2100)


def test_an_ability_is_there_or_could_be_bought(account: Account) -> None:
    """204 or 402."""
    account.sim.world.abilities.remove("urgencies")
    statuses = [account.request("GET", f"/abilities/{name}").status for name in ("teams", "urgencies")]
    assert statuses == [204, 402]


def test_teams_are_listed_by_part_of_their_name(account: Account) -> None:
    """Whatever the case."""
    for name in ("Shop", "Mail"):
        account.sim.world.add_team(name)
    assert [team["name"] for team in account.get("/teams", query="sho")["teams"]] == ["Shop"]
