"""Whatever PagerDuty or a proxy on the way answers, the reader of answers does not break."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from resolute.errors import ProviderError, ProviderOutcomeUnknown, ProviderRejected, ProviderUnavailable
from resolute.providers.pagerduty.errors import Host, read_answer
from tests.unit.providers.pagerduty.conftest import NOW
from tests.unit.providers.pagerduty.test_errors import KEY, body_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "errors", "message", "code", "status"]) | st.text(), inner)
    ),
    max_leaves=10,
)
bodies = (
    st.binary(max_size=200)
    | st.text().map(lambda text: text.encode())
    | st.text().map(lambda text: f"<html>{text}".encode())
    | json_values.map(body_of)
)
header_names = st.sampled_from(["Retry-After", "ratelimit-reset", "Location", "X-Request-Id"]) | st.text()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["events", "rest"]), st.integers(0, 999), st.dictionaries(header_names, st.text()), bodies)
def test_whatever_is_answered_one_of_four_things_comes_out(
    host: Host, status: int, headers: dict[str, str], body: bytes
) -> None:
    """An object, or one of the three errors, whose text can be written anywhere."""
    try:
        outcome: object = read_answer(host, status, headers, body, request="GET /", now=NOW, secrets=[KEY])
    except (ProviderRejected, ProviderUnavailable, ProviderOutcomeUnknown) as error:
        outcome = error
    if isinstance(outcome, ProviderError):
        f"{outcome}{outcome.errors}{outcome.request_id}".encode()
    else:
        assert isinstance(outcome, dict)
        assert 200 <= status < 300
