"""One good request to every operation of the REST API, in an account that has something of everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time, timedelta
from typing import Any

from resolute.simulator import SimAnswer
from resolute.simulator.pagerduty.operations import OPERATIONS
from resolute.simulator.pagerduty.resources import Grouping, SupportHours
from tests.unit.simulator.account import PAYLOAD, Account

ADA = {"From": "ada@example.com"}
INCLUDES = {operation.name: list(operation.include) for operation in OPERATIONS}


class Tour:
    """A rich account, and for each operation requests that it answers well."""

    def __init__(self) -> None:
        self.account = Account()
        self.world = self.account.sim.world
        self.service = next(iter(self.world.services.values()))
        self._fill()

    def _fill(self) -> None:
        world, sim = self.world, self.account.sim
        team = world.add_team("Shop")
        ada, ben, *_ = world.users.values()
        ada.team_ids.append(team.id)
        self.service.team_ids.append(team.id)
        schedule = next(iter(world.schedules.values()))
        schedule.team_ids.append(team.id)
        now = self.account.clock.now()
        world.add_override(schedule, ben, now + timedelta(hours=1), now + timedelta(hours=3))
        next(iter(world.policies.values())).team_ids.append(team.id)
        solo = world.add_schedule("Solo", [ada])
        policy = world.add_policy("Solo", [[solo]], num_loops=2)
        other = world.add_service("Billing", policy, urgency="severity_based")
        other.grouping = Grouping("time", timedelta(minutes=5))
        other.acknowledgement_timeout, other.auto_resolve_timeout = timedelta(minutes=30), timedelta(hours=4)
        other.support_hours = SupportHours((1, 2, 3, 4, 5), time(9), time(17), "high", "low")
        grouped = world.add_service("Mail", policy)
        grouped.grouping = Grouping("content_based", fields=("component",))
        sim.webhooks.subscriptions.add("http://receiver.invalid/hook", custom_headers=[("X-Own", "secret")])
        self._incidents()

    def _incidents(self) -> None:
        """#1 acknowledged, escalated and annotated, #2 resolved, #3 made by REST, #4 triggered, with links."""
        account = self.account
        links = {"links": [{"href": "https://example.com", "text": "Runbook"}]}
        images = {"images": [{"src": "https://example.com/chart.png", "alt": "Load"}], "client": "Monitor"}
        event = {"routing_key": account.sim.routing_key, "event_action": "trigger", "dedup_key": "first"}
        details = PAYLOAD | {"component": "db", "custom_details": {"free": "1%"}}
        account.post(event | links | images | {"payload": details})
        account.clock.advance(timedelta(minutes=45))
        account.update("1", status="acknowledged", priority={"id": self.priority, "type": "priority_reference"})
        self.send("POST", "/incidents/1/notes", {"note": {"content": "Looking."}})
        self.send("POST", "/incidents/1/snooze", {"duration": 3600})
        account.update("1", urgency="low", title="Disk nearly full")
        account.send("trigger", "second")
        account.update("2", status="resolved", resolution="Fixed")
        self.send("POST", "/incidents", {"incident": self.wanted("third") | {"body": self.body}})
        account.send("trigger", "fourth")

    @property
    def priority(self) -> str:
        """Id of the first priority."""
        return next(iter(self.world.priorities))

    @property
    def body(self) -> dict[str, str]:
        """Details of an incident made by REST."""
        return {"type": "incident_body", "details": "All of it."}

    def wanted(self, key: str) -> dict[str, Any]:
        """A new incident."""
        service = {"id": self.service.id, "type": "service_reference"}
        bridge = {"conference_number": "+1 415-555-1212,,,,1234#", "conference_url": "https://example.com/acb-123"}
        return {"type": "incident", "title": "By hand", "incident_key": key, "service": service} | {
            "conference_bridge": bridge
        }

    @property
    def subscription(self) -> str:
        """Id of the first webhook subscription."""
        return next(iter(self.account.sim.webhooks.subscriptions.all))

    def subscription_body(self) -> dict[str, Any]:
        """A new subscription."""
        method = {"type": "http_delivery_method", "url": "https://receiver.invalid/", "custom_headers": []}
        scope = {"type": "service_reference", "id": self.service.id}
        wanted = {"type": "webhook_subscription", "delivery_method": method, "events": ["incident.triggered"]}
        return {"webhook_subscription": wanted | {"filter": scope, "description": "Mine"}}

    def send(self, method: str, path: str, body: object = None, **query: object) -> SimAnswer:
        """A request on behalf of Ada."""
        named = {f"{name}[]" if isinstance(value, list) else name: value for name, value in query.items()}
        return self.account.request(method, path, named, body=body, headers=ADA)

    def as_ada(self, path: str) -> SimAnswer:
        """A request with a key of Ada's own."""
        key = self.world.add_user_key(self.account.sim.first_user)
        return self.account.request("GET", path, headers={"Authorization": f"Token token={key.token}"})

    def reads(self, operation: str, path: str, **query: object) -> list[SimAnswer]:
        """The same look-up with references, and with all that it can include."""
        return [self.send("GET", path, **query), self.send("GET", path, **query, include=INCLUDES[operation])]

    def reads_of_all(self) -> list[list[SimAnswer]]:
        """Every list, and every part of every incident."""
        lists = [each for each in OPERATIONS if each.method == "GET" and each.is_paged and "{" not in each.path]
        parts = [each for each in OPERATIONS if each.method == "GET" and each.path.startswith("/incidents/{id}")]
        numbers = [str(incident.number) for incident in self.account.sim.incidents[:20]]
        paths = [(each.name, each.path) for each in lists]
        paths += [(each.name, each.path.replace("{id}", number)) for each in parts for number in numbers]
        return [self.reads(name, path) for name, path in paths]

    def good_answers(self) -> dict[str, list[SimAnswer]]:
        """`operationId` → answers of that operation."""
        read = self.reads
        service, user = f"/services/{self.service.id}", next(iter(self.world.users))
        integration = f"{service}/integrations/{self.service.integrations[0].id}"
        schedule, hook = next(iter(self.world.schedules)), f"/webhook_subscriptions/{self.subscription}"
        reference = {"type": "incident_reference"}
        policy = {"id": self.service.policy_id, "type": "escalation_policy_reference"}
        answers: dict[str, Callable[[], list[SimAnswer]]] = {
            "listIncidents": lambda: read("listIncidents", "/incidents", total="true"),
            "getIncident": lambda: [each for n in range(1, 5) for each in read("getIncident", f"/incidents/{n}")],
            "createIncident": lambda: [self.send("POST", "/incidents", {"incident": self.wanted("new")})],
            "updateIncidents": lambda: [
                self.send("PUT", "/incidents", {"incidents": [{"id": "3", "status": "acknowledged"} | reference]})
            ],
            "updateIncident": lambda: [
                self.send("PUT", "/incidents/4", {"incident": {"status": status} | reference})
                for status in ("acknowledged", "triggered", "resolved", "triggered")
            ],
            "listIncidentNotes": lambda: [self.send("GET", "/incidents/1/notes")],
            "createIncidentNote": lambda: [self.send("POST", "/incidents/2/notes", {"note": {"content": "Done."}})],
            "createIncidentSnooze": lambda: [self.send("POST", "/incidents/1/snooze", {"duration": 60})],
            "listIncidentAlerts": lambda: read("listIncidentAlerts", "/incidents/1/alerts"),
            "listIncidentLogEntries": lambda: [
                each for n in (1, 2, 3) for each in read("listIncidentLogEntries", f"/incidents/{n}/log_entries")
            ],
            "listOnCalls": lambda: read("listOnCalls", "/oncalls", until="2026-05-01T00:00:00Z"),
            "listServices": lambda: read("listServices", "/services", total="true"),
            "createService": lambda: [
                self.send("POST", "/services", {"service": {"name": "Search", "escalation_policy": policy}})
            ],
            "getService": lambda: read("getService", service),
            "createServiceIntegration": lambda: [
                self.send(
                    "POST",
                    f"{service}/integrations",
                    {"integration": {"type": "events_api_v2_inbound_integration", "name": "More"}},
                )
            ],
            "getServiceIntegration": lambda: [self.send("GET", integration)],
            "listPriorities": lambda: [self.send("GET", "/priorities")],
            "listUsers": lambda: read("listUsers", "/users"),
            "getCurrentUser": lambda: [self.as_ada("/users/me")],
            "getUser": lambda: read("getUser", f"/users/{user}"),
            "listEscalationPolicies": lambda: read("listEscalationPolicies", "/escalation_policies"),
            "listSchedules": lambda: read("listSchedules", "/schedules"),
            "getSchedule": lambda: read("getSchedule", f"/schedules/{schedule}", include_next_oncall_for_user=user),
            "listWebhookSubscriptions": lambda: [self.send("GET", "/webhook_subscriptions")],
            "createWebhookSubscription": lambda: [
                self.send("POST", "/webhook_subscriptions", self.subscription_body())
            ],
            "getWebhookSubscription": lambda: [self.send("GET", hook)],
            "updateWebhookSubscription": lambda: [
                self.send("PUT", hook, {"webhook_subscription": {"description": "Ours", "active": False}})
            ],
            "enableWebhookSubscription": lambda: [self.send("POST", f"{hook}/enable")],
            "testWebhookSubscription": lambda: [self.send("POST", f"{hook}/ping")],
            "deleteWebhookSubscription": lambda: [self.send("DELETE", hook)],
            "listAbilities": lambda: [self.send("GET", "/abilities")],
        }
        return {name: ask() for name, ask in answers.items()}
