"""What is read out of the text with which Temporal's core tells of a connection that has failed."""

from __future__ import annotations

import pytest

from resolute.engines.temporal.address import TemporalAddress
from resolute.engines.temporal.refusal import refusal, silence

ADDRESS = TemporalAddress("h:7233", tls=True)
BEFORE = "Failed client connect: Server connection error: tonic::transport::Error(Transport, "


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('ConnectError("tcp connect error", Os { code: 111, message: "Connection refused" })', ""),
        ('Status { code: Unavailable, message: "not now" }', ""),
        ("AlertReceived(InternalError)", ""),
        ("InvalidCertificate(Expired)", "not valid at this time"),
        ("InvalidCertificate(NotValidForName)", "does not bear the name h"),
        ("AlertReceived(BadCertificate)", "who we are (BadCertificate)"),
        ("H2NotNegotiated", "does not speak HTTP/2"),
        ("PrivateKeyParseError", "not in PEM"),
        ('Status { code: PermissionDenied, message: "no" }', "does not let us in: no."),
    ],
)
def test_only_a_refusal_ends_the_wait(text: str, told: str) -> None:
    """What may pass by itself is no refusal."""
    found = refusal(ADDRESS, f"{BEFORE}{text})")
    assert (told in found) if told else found == ""


@pytest.mark.parametrize(("tls", "hint"), [(True, ""), (False, "; if it speaks TLS, set TEMPORAL_TLS=true")])
def test_a_server_that_hangs_up_may_speak_tls(tls: bool, hint: str) -> None:
    """It took the connection and said nothing: the text says what may be meant."""
    text = 'Failed: `get_system_info` call error after connection: Status { error: "connection closed" }'
    assert silence(TemporalAddress("h:7233", tls=tls), text) == f"connection closed{hint}"
