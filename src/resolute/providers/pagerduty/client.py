"""`PagerDutyClient`: every request that Resolute makes of one PagerDuty account, for a checked account.

It neither retries nor follows redirects: when to repeat is decided in one place, by the engine and the ledger. Errors
are those of `errors.py`; none of them holds a key.
"""

from __future__ import annotations

from resolute.providers.pagerduty.client_changes import IncidentChanges
from resolute.providers.pagerduty.client_directory import DirectoryReads
from resolute.providers.pagerduty.client_events import EventAnswer, EventRequests
from resolute.providers.pagerduty.client_incidents import IncidentReads
from resolute.providers.pagerduty.client_webhooks import WebhookRequests
from resolute.providers.pagerduty.requests import ANSWER_BYTES

__all__ = ["ANSWER_BYTES", "EventAnswer", "PagerDutyClient"]


class PagerDutyClient(EventRequests, IncidentReads, IncidentChanges, DirectoryReads, WebhookRequests):
    """The requests that Resolute makes of one PagerDuty account.

    Proxies and certificates come from the usual variables (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`),
    which are read when the first request is made. Use one client in one event loop, and `aclose()` it.
    REST requests of one API key share one limit, however many clients there are; see `limiter.py`.
    """
