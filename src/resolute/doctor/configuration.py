"""Checks of what was configured: settings and their sources, flows, what they need, keys and files with secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from resolute.doctor.finding import Finding, not_checked, ok, problem, warning
from resolute.doctor.subject import Account, Subject
from resolute.errors import ConfigError
from resolute.model.reference import references_in
from resolute.model.refs import SecretRef
from resolute.providers.pagerduty.config import ROUTING_KEY, describe_bad_routing_key
from resolute.secrets import lookup, mask

_FILE: Final = "_FILE"
#: Flows name their routing keys like this.
_ROUTING_KEY: Final = "ROUTING_KEY"
_NO_FLOWS: Final = "Needs the module with the flows: --module, RESOLUTE_MODULE, or module in resolute.toml."


def settings(subject: Subject) -> list[Finding]:
    """Each setting with its source."""
    if subject.settings_fault:
        return [problem(subject.settings_fault, "Mend the value where it stands.")]
    shown = [f"{name} = {_shown(found.value)} ({found.source})" for name, found in subject.in_force.items()]
    return [ok("; ".join(shown) + ".")]


def _shown(value: object) -> str:
    listed = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return "none" if listed in ("", "[]") else listed


def flows(subject: Subject) -> list[Finding]:
    """Whether the module can be loaded."""
    if subject.module_fault:
        return [problem(subject.module_fault, "Mend it; `resolute flows check` lists every fault of the flows.")]
    if subject.worker is None:
        return [not_checked("No module with flows is named: --module, RESOLUTE_MODULE, or module in resolute.toml.")]
    names = ", ".join(flow.name for flow in subject.flows)
    return [ok(f"The module holds {len(subject.flows)} flow{'' if len(subject.flows) == 1 else 's'}: {names}.")]


def needs(subject: Subject) -> list[Finding]:
    """What the flows need and do not find: secrets, variables, keys, providers; the same as a worker tells."""
    if subject.worker is None:
        return [not_checked(_NO_FLOWS)]
    told = {account.fault for account in subject.accounts}
    told |= {f"The secret {name} {fault}" for name, fault in _bad_routing_keys(subject).items()}
    found = [_missing(text) for text in subject.worker.problems() if text not in told]
    return found or [ok("Every secret, variable and provider that the flows need is there.")]


def _missing(text: str) -> Finding:
    what, separator, fix = text.partition(": ")
    return problem(f"{what}.", fix[:1].upper() + fix[1:]) if separator else problem(text, "")


def keys(subject: Subject) -> list[Finding]:
    """Whether each key is of the kind that belongs where it stands."""
    found = [finding for account in subject.accounts for finding in _faults(account)]
    good = [
        f"{account.label}{name} {mask(key)}"
        for account in subject.accounts
        if account.settings is not None
        for name, key in (("API key", account.settings.api_key), ("routing key", account.settings.service_key))
        if key
    ]
    bad = _bad_routing_keys(subject)
    for name, fault in bad.items():
        what, ending, fix = fault.partition("letters and digits. ")
        found.append(problem(f"{name} {what}{ending.strip()}", fix))
    good += [f"{name} {mask(key)}" for name, key in _routing_keys(subject).items() if name not in bad]
    if not found and not good:
        return [not_checked("No key is set: neither PAGERDUTY_SERVICE_KEY nor PAGERDUTY_API_KEY nor a ROUTING_KEY.")]
    return found or [ok(f"The keys have the right form: {', '.join(good)}.")]


def _faults(account: Account) -> Iterator[Finding]:
    """What is wrong with the settings of an account, a finding for each line."""
    for line in account.fault.splitlines()[1:]:
        text = line.strip().removeprefix("- ")
        what, separator, fix = text.partition(". ")
        yield problem(f"{account.label}{what}{separator.strip()}", fix)


def _routing_keys(subject: Subject) -> dict[str, str]:
    """Routing keys by the name of their secret: those that flows use, and what is named like one. Missing: left out."""
    used = {
        ref.name
        for node in subject.nodes
        if node.activity.is_paging
        for ref in references_in({"routing_key": node.arguments.get("routing_key")})
        if isinstance(ref, SecretRef) and not ref.name.startswith("input:")
    }
    named = {name.removesuffix(_FILE) for name in subject.environ}
    found = {}
    for name in sorted(used | {name for name in named if name.endswith(_ROUTING_KEY)}):
        try:
            key = lookup(name, subject.environ)
        except ConfigError:  # told by the check of secret files
            continue
        if key is not None:
            found[name] = key
    return found


def _bad_routing_keys(subject: Subject) -> dict[str, str]:
    """What is wrong with those that are none."""
    keys = _routing_keys(subject)
    return {name: describe_bad_routing_key(key) for name, key in keys.items() if not ROUTING_KEY.fullmatch(key)}


def secret_files(subject: Subject) -> list[Finding]:
    """Whether others can read the files that secrets stand in."""
    found, private = [], []
    for name, path in sorted(_secret_files(subject)):
        try:
            mode = path.stat().st_mode
        except OSError as error:
            found.append(
                problem(
                    f"{name} names {path}, which cannot be read: {error.strerror}.", "Make it readable, or unset it."
                )
            )
            continue
        if mode & 0o077:
            found.append(
                warning(
                    f"{name} names {path}, which others can read (mode {stat.S_IMODE(mode):04o}, expected 0600).",
                    f"`chmod 600 {path}`; a secret that Docker mounts takes a mode, too: mode=0400.",
                )
            )
        elif not os.access(path, os.R_OK):
            found.append(problem(f"{name} names {path}, which this user cannot read.", "Give it to the worker's user."))
        else:
            private.append(name)
    if found:
        return found
    return [ok(f"Only this user reads {', '.join(private)}." if private else "No secret is read from a file.")]


def _secret_files(subject: Subject) -> Iterator[tuple[str, Path]]:
    used = {
        ref.name for node in subject.nodes for ref in references_in(dict(node.arguments)) if isinstance(ref, SecretRef)
    }
    for name, value in subject.environ.items():
        stem = name.removesuffix(_FILE)
        if (
            stem != name
            and value.strip()
            and (stem in used or stem.startswith("PAGERDUTY_") or stem.endswith(_ROUTING_KEY))
        ):
            yield name, Path(value.strip())
