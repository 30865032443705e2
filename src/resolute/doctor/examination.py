"""The examination: every check by name, in the order in which one fault explains the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from resolute.doctor import configuration, machine, store
from resolute.doctor.account import Network
from resolute.doctor.finding import RESULTS, Finding, Named, warning
from resolute.doctor.subject import Subject
from resolute.doctor.worker_health import health

Check = Callable[[Subject], list[Finding]]


def checks(network: Network) -> dict[str, Check]:
    """Every check by its name."""
    return {
        "python": machine.python,
        "sqlite": machine.sqlite,
        "open files": machine.open_files,
        "settings": configuration.settings,
        "flows": configuration.flows,
        "needs": configuration.needs,
        "keys": configuration.keys,
        "secret files": configuration.secret_files,
        "time zones": machine.time_zones,
        "store": store.access,
        "schema": store.schema,
        "permissions": store.permissions,
        "owner": store.owner,
        "health": health,
        "disk": machine.disk,
        "addresses": network.addresses,
        "REST key": network.rest_key,
        "From": network.requester,
        "clock": network.clock,
    }


def examine(subject: Subject, network: Network) -> list[Named]:
    """What every check finds, the worst first. A check that fails itself is told as a warning; the others go on."""
    found: list[Named] = []
    for name, check in checks(network).items():
        try:
            findings = check(subject)
        except Exception as error:  # whatever a broken machine raises, the other checks are worth as much
            findings = [
                warning(
                    f"The check itself failed: {type(error).__name__}: {error}",
                    "Look at the other findings first; then report this as a fault of Resolute.",
                )
            ]
        found.extend(Named(name, each) for each in findings)
    return sorted(found, key=lambda each: RESULTS.index(each.finding.result))


def has_problem(found: Sequence[Named]) -> bool:
    """Whether something does not work as it is."""
    return any(each.finding.result == "problem" for each in found)
