"""Why a Temporal server and we do not trust each other, in words and with what to mend, read out of what its core says.

The core tells of a connection that has failed in one text, and waiting helps only where nobody has refused anybody.
"""

from __future__ import annotations

import re
from typing import Final

from resolute.engines.temporal.address import TemporalAddress

_CA: Final = "TEMPORAL_TLS_SERVER_CA_CERT_PATH"
_PAIR: Final = "TEMPORAL_TLS_CLIENT_CERT_PATH and TEMPORAL_TLS_CLIENT_KEY_PATH"
_ALERT: Final = r"(?:fatal alert: |AlertReceived\()"

#: What stands in the text, what it means, and what to mend; the first one counts.
_MEANINGS: Final = (
    (
        r"InvalidCertificate\(NotValidForName",
        "its certificate does not bear the name {name}",
        "Set TEMPORAL_TLS_SERVER_NAME to a name that it bears.",
    ),
    (
        r"InvalidCertificate\((Expired|NotValidYet)",
        "its certificate is not valid at this time",
        "Renew it, or set this machine's clock.",
    ),
    (
        r"InvalidCertificate\(",
        "its certificate is signed by nobody whom we trust",
        f"Let {_CA} name the certificate of who has signed it, in PEM.",
    ),
    (
        r"InvalidContentType",
        "it does not speak TLS",
        "Set TEMPORAL_TLS=false and take certificates and key away, or name the port that does.",
    ),
    (
        r"H2NotNegotiated",
        "it does not speak HTTP/2",
        "Name its gRPC port; a proxy before it has to offer h2 (ALPN).",
    ),
    (r"KeyMismatch", "the client key is not that of the client certificate", f"Mend {_PAIR}."),
    (
        r"NoCertificatesPresented|PrivateKeyParseError|CertificateParseError",
        "the client certificate or its key is not in PEM",
        f"Mend {_PAIR}.",
    ),
    (
        _ALERT + r"CertificateRequired",
        "it asks for a client certificate",
        f"Set {_PAIR}.",
    ),
    (
        _ALERT + r"(BadCertificate|Certificate\w+|UnknownCA|UnsupportedCertificate|AccessDenied|DecryptError|"
        r"HandshakeFailure)",
        "it does not accept who we are ({found})",
        f"Set {_PAIR} to what it trusts.",
    ),
    (
        r"code: (Unauthenticated|PermissionDenied), message: \"([^\"]*)\"",
        "it does not let us in: {said}",
        f"Mend TEMPORAL_API_KEY, or {_PAIR}.",
    ),
)


def refusal(address: TemporalAddress, text: str) -> str:
    """Why waiting does not help, and what to mend; "" where it may.

    Args:
        text: what the core says of a connection that has failed.
    """
    for pattern, meaning, mend in _MEANINGS:
        found = re.search(pattern, text)
        if found is not None:
            groups = (*found.groups(), "", "")
            name = address.server_name or address.host.rpartition(":")[0]
            told = meaning.format(name=name, found=groups[0], said=groups[1] or groups[0])
            return f"No connection to the Temporal server {address}: {told}. {mend}"
    return ""


def silence(address: TemporalAddress, text: str) -> str:
    """What is known of a server that does not answer."""
    inner = re.search(r'(?:error|message): "([^"]*)"[^"]*$', text)
    line = " ".join((inner[1] if inner else text).split())
    hint = "" if address.tls else "; if it speaks TLS, set TEMPORAL_TLS=true"
    hears = "call error after connection" in text
    return f"{line if len(line) <= 200 else f'{line[:197]}...'}{hint if hears else ''}"
