"""What the `self` links of answers lead to, beyond the look-ups that Resolute itself makes.

Clients follow these links: the official Python client reads any object that it has a reference of.
"""

from __future__ import annotations

from resolute.simulator.pagerduty.alert_shape import alert_shape
from resolute.simulator.pagerduty.book import IncidentBook
from resolute.simulator.pagerduty.log_shape import log_entry_shape
from resolute.simulator.pagerduty.refusals import needs_ability, not_found
from resolute.simulator.pagerduty.resources import User
from resolute.simulator.pagerduty.rest_incidents import find_incident
from resolute.simulator.pagerduty.restcall import RestCall
from resolute.simulator.pagerduty.shapes import contact_method, notification_rule, policy_shape, team_shape
from resolute.simulator.pagerduty.wire import SimAnswer, json_answer
from resolute.simulator.pagerduty.world import ABILITIES


def get_policy(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One escalation policy. Source: PagerDuty REST API v2, "Get an escalation policy"."""
    policy = call.world.policies.get(call.ids[0])
    if policy is None:
        raise not_found()
    return json_answer(200, {"escalation_policy": policy_shape(call, policy, full=True)})


def list_teams(call: RestCall, book: IncidentBook) -> SimAnswer:
    """Teams; `query` is part of the name. Source: PagerDuty REST API v2, "List teams"."""
    query = (call.value("query") or "").lower()
    teams = [team for team in call.world.teams.values() if query in team.name.lower()]
    return call.page("teams", teams, lambda team: team_shape(call, team, full=True))


def get_team(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One team. Source: PagerDuty REST API v2, "Get a team"."""
    team = call.world.teams.get(call.ids[0])
    if team is None:
        raise not_found()
    return json_answer(200, {"team": team_shape(call, team, full=True)})


def get_log_entry(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One line of any incident's log. Source: PagerDuty REST API v2, "Get a log entry"."""
    for incident in book.incidents.values():
        for entry in incident.log:
            if entry.id == call.ids[0]:
                return json_answer(200, {"log_entry": log_entry_shape(call, book, incident, entry)})
    raise not_found()


def get_alert(call: RestCall, book: IncidentBook) -> SimAnswer:
    """One alert of an incident. Source: PagerDuty REST API v2, "Get an alert"."""
    incident = find_incident(call, book)
    alert = next((alert for alert in incident.alerts if alert.id == call.ids[1]), None)
    if alert is None:
        raise not_found()
    return json_answer(200, {"alert": alert_shape(call, book, incident, alert)})


def get_contact_method(call: RestCall, book: IncidentBook) -> SimAnswer:
    """A user's e-mail address. Source: PagerDuty REST API v2, "Get a user's contact method"."""
    shape = contact_method(call, _user(call), full=True)
    if shape["id"] != call.ids[1]:
        raise not_found()
    return json_answer(200, {"contact_method": shape})


def get_notification_rule(call: RestCall, book: IncidentBook) -> SimAnswer:
    """When a user is notified how. Source: PagerDuty REST API v2, "Get a user's notification rule"."""
    shape = notification_rule(call, _user(call), full=True)
    if shape["id"] != call.ids[1]:
        raise not_found()
    return json_answer(200, {"notification_rule": shape})


def get_ability(call: RestCall, book: IncidentBook) -> SimAnswer:
    """204 when the account has an ability, 402 when not. Source: PagerDuty REST API v2, "Test an ability"."""
    ability = call.ids[0]
    if ability in call.world.abilities:
        return SimAnswer(204)
    if ability in ABILITIES:
        raise needs_ability(ability)
    raise not_found()


def _user(call: RestCall) -> User:
    user = call.world.users.get(call.ids[0])
    if user is None:
        raise not_found()
    return user
