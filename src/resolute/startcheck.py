"""The check at a worker's start: what only it can know to be missing or wrong, all of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from resolute.errors import ConfigError
from resolute.model.activity import Activity, Node
from resolute.model.limit import limit_clashes
from resolute.model.recipe import Flow, with_children
from resolute.model.reference import MISSING, references_in
from resolute.model.refs import EnvRef, SecretRef
from resolute.model.steps import Children, walk_steps
from resolute.model.webhook import webhooks_in
from resolute.providers.base import PROVIDERS, Provider
from resolute.secrets import Secrets


def start_problems(
    flows: Sequence[Flow], providers: Sequence[Provider], environ: Mapping[str, str], *, receives: bool = True
) -> list[str]:
    """Missing secrets, variables, keys, providers and flows, and names that stand twice, a sentence each.

    Args:
        receives: whether webhooks are to be received; a run by hand needs none of their secrets.
    """
    found: list[str] = []
    flows = with_children(flows)
    names = [flow.name for flow in flows]
    twice = sorted({name for name in names if names.count(name) > 1})
    found.extend(f'Two flows are named "{name}". Rename one.' for name in twice)
    accounts = [(provider.kind, provider.name) for provider in providers]
    found.extend(
        f'Two {kind} providers are named "{name}". Give one a name of its own: name="...".'
        for kind, name in sorted({account for account in accounts if accounts.count(account) > 1})
    )
    if not flows:
        found.append("There is no flow to run. Give Worker(flows=[...]) at least one.")
    nodes = [node for flow in flows for node in flow.nodes()]
    found.extend(_name_clashes(node.activity for node in nodes))
    found.extend(_limit_clashes(flows))
    found.extend(_missing_flows(flows))
    found.extend(_missing_values(nodes, environ))
    if receives:
        found.extend(_webhook_problems(flows, environ))
    for (kind, name), used in _by_provider(nodes).items():
        provider = next((p for p in providers if (p.kind, p.name) == (kind, name)), None)
        if provider is not None:
            found.extend(provider.problems(used, environ))
            continue
        found.append(_missing_provider(kind, name, used))
    return list(dict.fromkeys(found))


def _name_clashes(activities: Iterable[Activity[Any, Any]]) -> list[str]:
    known: dict[str, Activity[Any, Any]] = {}
    found = []
    for activity in activities:
        other = known.setdefault(activity.name, activity)
        if other.fn is not activity.fn:
            places = " and ".join(f"{a.fn.__module__}.{a.fn.__qualname__}" for a in (other, activity))
            found.append(f'Two functions are named "{activity.name}": {places}. Name one: @activity(name="...").')
    return found


def _limit_clashes(flows: Sequence[Flow]) -> list[str]:
    return limit_clashes(
        (f'"{node.key}" in flow "{flow.name}"', node.rate_limit)
        for flow in flows
        for node in flow.nodes()
        if node.rate_limit is not None
    )


def _missing_flows(flows: Sequence[Flow]) -> Iterator[str]:
    names = [flow.name for flow in flows]
    for flow in flows:
        for step in walk_steps(flow.steps):
            if isinstance(step, Children) and step.flow not in names:
                near = difflib.get_close_matches(step.flow, names, 1)
                hint = f' Did you mean "{near[0]}"?' if near else ""
                yield (
                    f'Flow "{flow.name}": the children "{step.key}" are runs of "{step.flow}", which this worker '
                    f"does not have.{hint} Add it to Worker(flows=[...]), or give then_children() the flow itself."
                )


def _missing_values(nodes: Sequence[Node[Any]], environ: Mapping[str, str]) -> list[str]:
    secrets = Secrets(environ)
    found = []
    for node in nodes:
        for ref in references_in(dict(node.arguments)):
            if isinstance(ref, SecretRef):
                try:
                    missing = not secrets.has(ref.name)
                except ConfigError as error:
                    found.append(str(error))
                    continue
                if missing:
                    found.append(f'Node "{node.key}" needs the secret {ref.name}: set {ref.name}, or {ref.name}_FILE.')
            elif isinstance(ref, EnvRef) and ref.default is MISSING and environ.get(ref.name) is None:
                found.append(f'Node "{node.key}" needs the variable {ref.name}: set it, or give env(..., default=...).')
    return found


def _webhook_problems(flows: Sequence[Flow], environ: Mapping[str, str]) -> Iterator[str]:
    """Paths that stand twice, and secrets without which nobody could be let in."""
    secrets = Secrets(environ)
    owners: dict[str, str] = {}
    for flow in flows:
        for webhook in webhooks_in(flow.triggers):
            other = owners.setdefault(webhook.path, flow.name)
            if other != flow.name:
                yield f'Flows "{other}" and "{flow.name}" have a webhook at {webhook.path}. Give one another path.'
            for name in () if webhook.signature is None else webhook.signature.secrets:
                try:
                    missing = not secrets.has(name)
                except ConfigError as error:
                    yield str(error)
                    continue
                if missing:
                    place = f'The webhook {webhook.path} of flow "{flow.name}"'
                    yield f"{place} needs the secret {name}: set {name}, or {name}_FILE."


def _missing_provider(kind: str, name: str, used: Sequence[Node[Any]]) -> str:
    keys = ", ".join(sorted({f'"{node.key}"' for node in used}))
    _, made_by = PROVIDERS.get(kind, ("", "Provider"))
    made = f"{kind}.{made_by}({_quoted('name=', name)})"
    return (
        f"The provider {kind}{_quoted(' ', name)} is used by {keys} but was not given. "
        f"Add Worker(..., providers=[{made}]); in a module without a Worker, account = {made} at its top level."
    )


def _quoted(before: str, name: str) -> str:
    return f'{before}"{name}"' if name else ""


def _by_provider(nodes: Sequence[Node[Any]]) -> dict[tuple[str, str], list[Node[Any]]]:
    found: dict[tuple[str, str], list[Node[Any]]] = {}
    for node in nodes:
        if node.activity.provider is not None:
            found.setdefault((node.activity.provider, node.instance or ""), []).append(node)
    return found
