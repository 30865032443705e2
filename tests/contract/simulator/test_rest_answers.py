"""Every answer of the simulated REST API compared with PagerDuty's published document."""

from __future__ import annotations

from functools import cache

import pytest

from resolute.simulator import SimAnswer
from resolute.simulator.pagerduty.operation import Operation
from resolute.simulator.pagerduty.operations import OPERATIONS
from tests.contract.simulator.document import (
    DEFECTS,
    NULL_ALTHOUGH_NOT_NULLABLE,
    UNLISTED,
    answer_differences,
    load,
    needs_documents,
    null_fields,
    operations_of,
)
from tests.contract.simulator.tour import Tour

pytestmark = needs_documents
BY_NAME = {operation.name: operation for operation in OPERATIONS}
PATHS = [operation for operation in OPERATIONS if "{" in operation.path]
WRITES = [operation for operation in OPERATIONS if operation.scope.endswith(".write")]
names = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


@cache
def good_answers() -> dict[str, list[SimAnswer]]:
    """The answers of one tour through the account."""
    return Tour().good_answers()


def path_of(operation: Operation, id_: str = "1") -> str:
    """The operation's path with ids in it."""
    return operation.path.replace("{id}", id_).replace("{integration_id}", id_)


def test_every_operation_of_the_document_is_there_and_is_compared() -> None:
    """An operation that PagerDuty documents and we lack, or never look at, fails here."""
    documented = operations_of(load("rest.json"))
    assert len(documented) == 31
    assert {name: (each.method.lower(), each.path) for name, each in BY_NAME.items()} == documented
    assert set(good_answers()) == set(documented)


@names
def test_good_answers_are_as_documented(operation: Operation) -> None:
    """With references and with all that can be included, in every state of an incident."""
    document = load("rest.json")
    for answer in good_answers()[operation.name]:
        assert answer.status == operation.status, answer
        assert answer_differences(document, operation.name, answer) == []


@names
def test_a_wrong_key_is_refused_as_documented(operation: Operation) -> None:
    """401; the current user is the one operation that does not list it."""
    answer = Tour().account.request(operation.method, path_of(operation), headers={"Authorization": "Token token=x"})
    assert answer.status == 401
    if operation.name != "getCurrentUser":
        assert answer_differences(load("rest.json"), operation.name, answer) == []


@pytest.mark.parametrize("operation", WRITES, ids=lambda operation: operation.name)
def test_a_read_only_key_is_refused_as_documented(operation: Operation) -> None:
    """403 for every write."""
    tour = Tour()
    key = next(key for key in tour.world.api_keys.values() if key.read_only)
    headers = {"Authorization": f"Token token={key.token}", "From": "ada@example.com"}
    answer = tour.account.request(operation.method, path_of(operation), body={}, headers=headers)
    assert answer.status == 403
    assert answer_differences(load("rest.json"), operation.name, answer) == []


@pytest.mark.parametrize("operation", PATHS, ids=lambda operation: operation.name)
def test_an_unknown_id_is_refused_as_documented(operation: Operation) -> None:
    """404."""
    answer = Tour().send(operation.method, path_of(operation, "PNONE"), {"incident": {"type": "incident"}})
    assert answer.status == 404
    assert answer_differences(load("rest.json"), operation.name, answer) == []


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.body or each.is_paged], ids=lambda operation: operation.name
)
def test_bad_arguments_are_refused_as_documented(operation: Operation) -> None:
    """400 for a body that says nothing, or a page of no size."""
    tour = Tour()
    id_ = {"/services": tour.service.id, "/webhook": tour.subscription}
    known = next((value for start, value in id_.items() if operation.path.startswith(start)), "1")
    query: dict[str, object] = {} if operation.body else {"limit": "ten"}
    answer = tour.send(operation.method, path_of(operation, known), {} if operation.body else None, **query)
    assert answer.status == 400
    assert answer_differences(load("rest.json"), operation.name, answer) == []


@names
def test_too_many_requests_are_refused_as_documented(operation: Operation) -> None:
    """429 with the headers of the limit, where the operation lists it."""
    tour = Tour()
    tour.account.sim.rules.rest_per_minute = 0
    answer = tour.send(operation.method, path_of(operation))
    assert (answer.status, answer.header("ratelimit-remaining")) == (429, "0")
    method, path = operations_of(load("rest.json"))[operation.name]
    if "429" in load("rest.json")["paths"][path][method]["responses"]:
        assert answer_differences(load("rest.json"), operation.name, answer) == []


def test_a_missing_ability_and_too_many_incidents_are_refused_as_documented() -> None:
    """402 and 413."""
    tour, document = Tour(), load("rest.json")
    tour.world.abilities.remove("priorities")
    lacking = tour.send("GET", "/priorities")
    wanted = [{"id": "1", "type": "incident_reference"}] * 251
    many = tour.send("PUT", "/incidents", {"incidents": wanted})
    assert [lacking.status, many.status] == [402, 413]
    assert answer_differences(document, "listPriorities", lacking) == []
    assert answer_differences(document, "updateIncidents", many) == []


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_is_still_met(defect: str) -> None:
    """A defect that is mended upstream, or that we no longer meet, leaves the list."""
    document = load("rest.json", unmended=[defect])
    assert any(
        answer_differences(document, name, answer) for name, answers in good_answers().items() for answer in answers
    )


def test_every_exception_is_still_needed() -> None:
    """Fields that may be null are null somewhere; statuses that are not listed are answered."""
    documented = load("rest.json")
    bodies = [answer.json() for answers in good_answers().values() for answer in answers if answer.body]
    assert set(NULL_ALTHOUGH_NOT_NULLABLE) <= set().union(*map(null_fields, bodies))
    operations = operations_of(documented)
    for name, status in UNLISTED:
        method, path = operations[name]
        assert str(status) not in documented["paths"][path][method]["responses"]
