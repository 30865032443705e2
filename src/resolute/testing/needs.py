"""What flows need from outside before a test can run them: secrets, variables, accounts, the flows of child runs.

A worker tells the operator what is missing; here the test's author is told, all of it at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from resolute.errors import ConfigError
from resolute.model.activity import Node
from resolute.model.recipe import Flow
from resolute.model.reference import MISSING, references_in
from resolute.model.refs import EnvRef, SecretRef
from resolute.model.steps import Children, walk_steps
from resolute.providers.pagerduty.config import ROUTING_KEY
from resolute.testing.accounts import KIND, Accounts
from resolute.testing.script import Script
from resolute.testing.stand_in import secret_name, stand_in


def fill_environ(flows: Sequence[Flow], script: Script, accounts: Accounts, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of the worker under test; the accounts learn of every routing key and instance.

    A secret that is used as a routing key and was not given is that of the simulated account; one that only
    mocked nodes use need not be given.

    Raises:
        ConfigError: something is missing; the text lists all of it, with what to write.
    """
    environ = {**accounts.keys, **given}
    problems = [*_twice(flows), *_missing_flows(flows)]
    nodes = [node for flow in flows for node in flow.nodes()]
    for node in nodes:
        if node.key not in script.mocks:
            problems.extend(_provider_problem(node, accounts, script))
            for name in _routing_keys(node):
                problems.extend(_take_key(name, node, accounts, environ))
    for node in nodes:
        is_mocked = node.key in script.mocks
        for ref in references_in(dict(node.arguments)):
            if isinstance(ref, EnvRef) and ref.default is MISSING and ref.name not in environ:
                problems.append(
                    f'Node "{node.key}" reads the variable {ref.name}. Give it: '
                    f'FlowTester(env={{"{ref.name}": "..."}}), or env(..., default=...) in the flow.'
                )
            elif isinstance(ref, SecretRef) and ref.name not in environ and not is_mocked:
                problems.append(
                    f'Node "{node.key}" uses the secret {ref.name}. Give it: '
                    f'FlowTester(secrets={{"{ref.name}": "..."}}), or mock the node: tester.mock("{node.key}", ...).'
                )
    if problems:
        lines = (f"  - {problem}" for problem in dict.fromkeys(problems))
        raise ConfigError("\n".join(["The flow cannot be run in a test as it is:", *lines]))
    for name in _secrets(nodes):
        environ.setdefault(name, secret_name(name))
    return environ


def _secrets(nodes: Iterable[Node[Any]]) -> Iterator[str]:
    for node in nodes:
        yield from (ref.name for ref in references_in(dict(node.arguments)) if isinstance(ref, SecretRef))


def _routing_keys(node: Node[Any]) -> Iterator[str]:
    """The names of the secrets that the events of a node are sent under."""
    if node.activity.provider == KIND:
        for name, parameter in node.activity.parameters.items():
            value = node.arguments.get(name)
            if parameter.is_secret and isinstance(value, SecretRef):
                yield value.name


def _take_key(name: str, node: Node[Any], accounts: Accounts, environ: dict[str, str]) -> Iterator[str]:
    instance = node.instance or ""
    key = environ.setdefault(name, accounts.routing_key(name, instance))
    if ROUTING_KEY.fullmatch(key):
        accounts.of(instance).take_key(key)
    else:
        yield (
            f"The secret {name} is used as a routing key by node {node.key!r}, and what was given is none: a routing "
            "key has 32 letters and digits. Leave it out, and the simulated account's own is used."
        )


def _provider_problem(node: Node[Any], accounts: Accounts, script: Script) -> Iterator[str]:
    kind = node.activity.provider
    if kind == KIND:
        accounts.instances.update((node.instance or "", stand_in(node, script).instance or ""))
    elif kind is not None:
        yield (
            f'Node "{node.key}" ({node.activity.name}) goes to {kind}, and tests do not. '
            f'Mock it: tester.mock("{node.key}", ...).'
        )


def _twice(flows: Sequence[Flow]) -> Iterator[str]:
    counted = Counter(flow.name for flow in flows)
    return (f'Two flows are named "{name}". Rename one.' for name, count in counted.items() if count > 1)


def _missing_flows(flows: Sequence[Flow]) -> Iterator[str]:
    names = [flow.name for flow in flows]
    for flow in flows:
        for step in walk_steps(flow.steps):
            if isinstance(step, Children) and step.flow not in names:
                near = get_close_matches(step.flow, names, 1)
                hint = f' Did you mean "{near[0]}"?' if near else ""
                yield (
                    f'The children "{step.key}" of flow "{flow.name}" are runs of "{step.flow}", which the tester does '
                    f"not have.{hint} Give it: FlowTester(flows=[...])."
                )
