"""What people look up in PagerDuty: incidents, one incident whole, who is on call, services; and notes they write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, cast

import click
from pydantic import BaseModel

from resolute.cli.options import Common
from resolute.cli.pagerduty_account import asked, machine
from resolute.cli.terminal import note, print_json, print_table, shown, when
from resolute.providers.pagerduty.client import PagerDutyClient
from resolute.providers.pagerduty.outputs import IncidentStatus, IncidentUrgency
from resolute.providers.pagerduty.params import LONGEST_RANGE
from resolute.providers.pagerduty.payloads import Incident, Named
from resolute.providers.pagerduty.records import Alert, LogEntry, Note

_HISTORY_AT_MOST: Final = 200
#: So many are asked for newest first; of more, all are read, since PagerDuty gives no row behind the 10,000th.
_ASKED_BACKWARDS: Final = 5_000


def plain(found: Sequence[BaseModel]) -> list[Any]:
    """Models as JSON data."""
    return [each.model_dump(mode="json") for each in found]


def incidents(
    common: Common,
    statuses: Sequence[str],
    service_ids: Sequence[str],
    urgencies: Sequence[str],
    days: float,
    limit: int,
) -> int:
    """List incidents of the last days, newest first."""

    kinds, degrees = cast(Sequence[IncidentStatus], statuses), cast(Sequence[IncidentUrgency], urgencies)

    async def newest(client: PagerDutyClient) -> tuple[list[Incident], bool]:
        since = client.now() - timedelta(days=days)
        if limit <= _ASKED_BACKWARDS and days <= LONGEST_RANGE.days:
            page = await client.latest_incidents(
                since=since, statuses=kinds, service_ids=service_ids, urgencies=degrees, limit=limit
            )
            return page.incidents, page.more
        every = client.iter_incidents(since=since, statuses=kinds, service_ids=service_ids, urgencies=degrees)
        found = [incident async for incident in every][::-1]
        return found[:limit], len(found) > limit

    found, more = asked(machine(common), newest)
    if common.json:
        print_json(plain(found))
        return 0
    if not found:
        click.echo(f"No incidents that are {' or '.join(statuses)} in the last {days:g} days.")
        return 0
    print_table(
        ("ID", "NUMBER", "CREATED (UTC)", "STATUS", "URGENCY", "TITLE", "SERVICE", "ASSIGNED TO"),
        [
            (
                each.id,
                each.incident_number,
                when(each.created_at),
                each.status,
                each.urgency,
                each.title,
                _name(each.service),
                ", ".join(_name(assignment.assignee) for assignment in each.assignments),
            )
            for each in found
        ],
        cut=("TITLE", "SERVICE", "ASSIGNED TO"),
    )
    if more:
        note("Older ones are left out; --limit shows more.")
    return 0


def show(common: Common, incident_id: str) -> int:
    """Show one incident with its alerts, notes and history."""

    async def whole(client: PagerDutyClient) -> tuple[Incident, list[Alert], list[Note], list[LogEntry]]:
        incident = await client.get_incident(incident_id)
        alerts = (await client.list_alerts(incident.id)).alerts
        notes = await client.list_notes(incident.id)
        entries = (await client.list_log_entries(incident.id, limit=_HISTORY_AT_MOST)).log_entries
        return incident, alerts, notes, entries

    incident, alerts, notes, entries = asked(machine(common), whole)
    if common.json:
        parts = {"alerts": plain(alerts), "notes": plain(notes), "log_entries": plain(entries)}
        print_json({"incident": incident.model_dump(mode="json"), **parts})
        return 0
    for name, value in (
        ("incident", f"{incident.id} (number {incident.incident_number})"),
        ("title", incident.title),
        ("status", f"{incident.status}, urgency {incident.urgency}"),
        ("priority", _name(incident.priority)),
        ("service", _name(incident.service)),
        ("policy", _name(incident.escalation_policy)),
        ("assigned to", ", ".join(_name(each.assignee) for each in incident.assignments)),
        ("created", when(incident.created_at)),
        ("resolved", when(incident.resolved_at)),
        ("page", incident.html_url),
    ):
        if value:
            click.echo(f"{name + ':':<13} {shown(value)}")
    for head, lines in (
        ("alerts", [(when(a.created_at), a.status, a.severity, a.alert_key, a.summary) for a in alerts]),
        ("notes", [(when(n.created_at), _name(n.user), n.content) for n in notes]),
        ("history", [(when(e.created_at), e.type.removesuffix("_log_entry"), _name(e.agent), e.note or e.summary)
                     for e in sorted(entries, key=lambda e: (e.created_at is not None, e.created_at))]),
    ):  # fmt: skip
        if lines:
            click.echo(f"\n{head}:")
            for line in lines:
                click.echo("  " + "  ".join(shown(part) for part in line if part))
    return 0


def add_note(common: Common, incident_id: str, text: str, sender: str) -> int:
    """Write a note on an incident."""
    written = asked(machine(common), lambda client: client.add_note(incident_id, content=text, from_email=sender))
    if common.json:
        print_json(written.model_dump(mode="json"))
    else:
        click.echo(f"Note {written.id} was written on incident {incident_id}.")
    return 0


def on_call(common: Common, policy_ids: Sequence[str], schedule_ids: Sequence[str]) -> int:
    """List who is on call now."""
    found = asked(
        machine(common),
        lambda client: client.get_on_calls(escalation_policy_ids=policy_ids, schedule_ids=schedule_ids, limit=10_000),
    )
    if common.json:
        print_json(plain(found.oncalls))
        return 0
    if not found.oncalls:
        click.echo("Nobody is on call.")
        return 0
    print_table(
        ("POLICY", "LEVEL", "WHO", "E-MAIL", "SCHEDULE", "UNTIL (UTC)"),
        [
            (
                _name(each.escalation_policy),
                each.escalation_level,
                each.user.name,
                each.user.email,
                _name(each.schedule) or "always",
                when(each.end),
            )
            for each in sorted(found.oncalls, key=lambda each: (_name(each.escalation_policy), each.escalation_level))
        ],
        cut=("POLICY", "SCHEDULE", "WHO"),
    )
    return 0


def services(common: Common, query: str) -> int:
    """List services by name."""

    async def every(client: PagerDutyClient) -> list[Any]:
        return [service async for service in client.iter_services(query=query)]

    found = asked(machine(common), every)
    if common.json:
        print_json(plain(found))
        return 0
    if not found:
        click.echo(f'No service has "{query}" in its name.' if query else "The account has no services.")
        return 0
    print_table(
        ("ID", "NAME", "STATUS", "ESCALATION POLICY", "LAST INCIDENT (UTC)"),
        [
            (each.id, each.name, each.status, _name(each.escalation_policy), when(each.last_incident_timestamp))
            for each in found
        ],
        cut=("NAME", "ESCALATION POLICY"),
    )
    return 0


def _name(named: Named | None) -> str:
    return "" if named is None else named.name or named.id
