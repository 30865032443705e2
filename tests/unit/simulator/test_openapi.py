"""The simulator's own OpenAPI document."""

from __future__ import annotations

from resolute.simulator.pagerduty.openapi import openapi_document
from resolute.simulator.pagerduty.operations import LINKED, OPERATIONS

URL = "http://127.0.0.1:8040"


def test_every_operation_is_described() -> None:
    """With its own name, at its own path; both event operations too."""
    document = openapi_document(URL)
    described = {
        operation["operationId"]: (method.upper(), path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    events = {"createV2Event": ("POST", "/v2/enqueue"), "createChangeEvent": ("POST", "/v2/change/enqueue")}
    assert described == {each.name: (each.method, each.path) for each in (*OPERATIONS, *LINKED)} | events
    assert document["servers"] == [{"url": URL}]


def test_parameters_are_those_that_are_read() -> None:
    """Ids of the path, filters, paging, what can be included, and who asks."""
    paths = openapi_document(URL)["paths"]

    def names(method: str, path: str) -> list[str]:
        return [each["name"] for each in paths[path][method]["parameters"]]

    assert names("get", "/services/{id}/integrations/{integration_id}") == ["id", "integration_id", "include[]"]
    assert names("get", "/users") == ["query", "team_ids[]", "limit", "offset", "total", "include[]"]
    assert names("post", "/incidents/{id}/snooze") == ["id", "From"]
