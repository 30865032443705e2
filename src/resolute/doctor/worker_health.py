"""The check of the running worker: what it says of itself where its dashboard listens."""

from __future__ import annotations

from typing import Final

from resolute.doctor.finding import Finding, not_checked, ok, problem
from resolute.doctor.subject import Subject
from resolute.engines.embedded.owner import holder
from resolute.errors import ConfigError, EngineError, StoreError
from resolute.health_answer import ask_health

_INCIDENTS: Final = "`resolute incidents` lists them first, with the service's last word."
#: What to do about a check of health that is not well.
FIXES: Final = {
    "journal": "Make room on the disk, or end what locks the store; the worker goes on by itself then.",
    "disk": "Make room on that disk.",
    "due_runs": "Look into the worker's log for what holds it up; WorkerConfig(max_concurrent=...) lets it do more.",
    "schedules": "Look into the worker's log for what holds it up.",
    "unsettled_pages": _INCIDENTS,
    "rejected_pages": _INCIDENTS,
    "notices": "`resolute runs list --flow '~worker-failure' --status failed` lists them; mend the node that tells.",
}


def health(subject: Subject) -> list[Finding]:
    """Whether the worker on the store is well, by its own word."""
    try:
        is_up = subject.store is not None and (found := holder(subject.store)) is not None and found.address is not None
    except StoreError:  # told by the check of the store's owner
        is_up = False
    if not is_up:
        return [not_checked("No worker runs on this store.")]
    address = str(subject.in_force["dashboard"].value) if "dashboard" in subject.in_force else ""
    if not address:
        return [not_checked("The worker shows its health nowhere: RESOLUTE_DASHBOARD=127.0.0.1:8030 would let it.")]
    try:
        report = ask_health(address, subject.environ)
    except (ConfigError, EngineError) as error:
        what, _, fix = str(error).partition(". ")
        return [problem(f"{what}.", fix)]
    if report.is_well:
        return [ok(f"The worker at {address} is well: {', '.join(check.name for check in report.checks)}.")]
    return [problem(f"{check.name}: {check.detail}", FIXES.get(check.name, "")) for check in report.failing]
