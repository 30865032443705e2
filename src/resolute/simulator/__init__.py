"""Services that Resolute can talk to, rebuilt so that flows can be tried and tested without an account.

`resolute.simulator.pagerduty.server` puts the simulator on a socket; it needs the `server` extra and is
imported by its user alone.
"""

from resolute.simulator.pagerduty.core import PagerDutySimulator
from resolute.simulator.pagerduty.deliveries import Delivery, WebhookReply, WebhookRequest
from resolute.simulator.pagerduty.faults import KINDS, Faults
from resolute.simulator.pagerduty.history import ProcessedEvent, RequestRecord
from resolute.simulator.pagerduty.incidents import Alert, Incident, LogEntry
from resolute.simulator.pagerduty.resources import ApiKey, Policy, Schedule, Service, User
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.seed import checkout_account, empty_account
from resolute.simulator.pagerduty.subscriptions import Subscription
from resolute.simulator.pagerduty.transport import SimulatorTransport
from resolute.simulator.pagerduty.wire import SimAnswer, SimRequest
from resolute.simulator.pagerduty.world import World

__all__ = [
    "KINDS",
    "Alert",
    "ApiKey",
    "Delivery",
    "Faults",
    "Incident",
    "LogEntry",
    "PagerDutySimulator",
    "Policy",
    "ProcessedEvent",
    "RequestRecord",
    "Rules",
    "Schedule",
    "Service",
    "SimAnswer",
    "SimRequest",
    "SimulatorTransport",
    "Subscription",
    "User",
    "WebhookReply",
    "WebhookRequest",
    "World",
    "checkout_account",
    "empty_account",
]
