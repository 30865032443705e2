"""Resolute: durable incident automation as code.

Everything a flow author needs is here; names load on first use, so importing this package stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resolute.client import Client as Client
    from resolute.client import Run as Run
    from resolute.config import WorkerConfig as WorkerConfig
    from resolute.context import current as current
    from resolute.errors import ActivityError as ActivityError
    from resolute.errors import ConfigError as ConfigError
    from resolute.errors import FlowError as FlowError
    from resolute.errors import ProviderError as ProviderError
    from resolute.errors import ProviderOutcomeUnknown as ProviderOutcomeUnknown
    from resolute.errors import ProviderRejected as ProviderRejected
    from resolute.errors import ProviderUnavailable as ProviderUnavailable
    from resolute.errors import ResoluteError as ResoluteError
    from resolute.errors import RunConflict as RunConflict
    from resolute.errors import RunFailed as RunFailed
    from resolute.errors import RunNotFound as RunNotFound
    from resolute.errors import RunPruned as RunPruned
    from resolute.hooks import RunEvent as RunEvent
    from resolute.model.activity import Activity as Activity
    from resolute.model.activity import Node as Node
    from resolute.model.activity import Secret as Secret
    from resolute.model.activity import activity as activity
    from resolute.model.flow import flow as flow
    from resolute.model.flow import steps as steps
    from resolute.model.limit import RateLimit as RateLimit
    from resolute.model.outcomes import ChildrenResult as ChildrenResult
    from resolute.model.outcomes import EachResult as EachResult
    from resolute.model.outcomes import GateAnswer as GateAnswer
    from resolute.model.outcomes import ItemFault as ItemFault
    from resolute.model.pages import Page as Page
    from resolute.model.pages import paginated as paginated
    from resolute.model.payload import Payload as Payload
    from resolute.model.recipe import Flow as Flow
    from resolute.model.recipe import FlowWarning as FlowWarning
    from resolute.model.refs import cursor as cursor
    from resolute.model.refs import env as env
    from resolute.model.refs import input_data as input_data
    from resolute.model.refs import item as item
    from resolute.model.refs import now as now
    from resolute.model.refs import output as output
    from resolute.model.refs import run_id as run_id
    from resolute.model.refs import secret as secret
    from resolute.model.refs import text as text
    from resolute.model.refs import tick as tick
    from resolute.model.retry import Retry as Retry
    from resolute.model.state import FlowState as FlowState
    from resolute.model.trigger import manual as manual
    from resolute.model.trigger import schedule as schedule
    from resolute.model.webhook import webhook as webhook
    from resolute.signatures import bearer as bearer
    from resolute.signatures import github as github
    from resolute.signatures import hmac_sha256 as hmac_sha256
    from resolute.signatures import slack as slack
    from resolute.signatures import unsigned as unsigned
    from resolute.worker import Worker as Worker

_HOME = {
    "resolute.client": ["Client", "Run"],
    "resolute.config": ["WorkerConfig"],
    "resolute.context": ["current"],
    "resolute.errors": [
        "ActivityError",
        "ConfigError",
        "FlowError",
        "ProviderError",
        "ProviderOutcomeUnknown",
        "ProviderRejected",
        "ProviderUnavailable",
        "ResoluteError",
        "RunConflict",
        "RunFailed",
        "RunNotFound",
        "RunPruned",
    ],
    "resolute.hooks": ["RunEvent"],
    "resolute.model.activity": ["Activity", "Node", "Secret", "activity"],
    "resolute.model.flow": ["flow", "steps"],
    "resolute.model.limit": ["RateLimit"],
    "resolute.model.outcomes": ["ChildrenResult", "EachResult", "GateAnswer", "ItemFault"],
    "resolute.model.pages": ["Page", "paginated"],
    "resolute.model.payload": ["Payload"],
    "resolute.model.recipe": ["Flow", "FlowWarning"],
    "resolute.model.refs": ["cursor", "env", "input_data", "item", "now", "output", "run_id", "secret", "text", "tick"],
    "resolute.model.retry": ["Retry"],
    "resolute.model.state": ["FlowState"],
    "resolute.model.trigger": ["manual", "schedule"],
    "resolute.model.webhook": ["webhook"],
    "resolute.signatures": ["bearer", "github", "hmac_sha256", "slack", "unsigned"],
    "resolute.worker": ["Worker"],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Activity",
    "ActivityError",
    "ChildrenResult",
    "Client",
    "ConfigError",
    "EachResult",
    "Flow",
    "FlowError",
    "FlowState",
    "FlowWarning",
    "GateAnswer",
    "ItemFault",
    "Node",
    "Page",
    "Payload",
    "ProviderError",
    "ProviderOutcomeUnknown",
    "ProviderRejected",
    "ProviderUnavailable",
    "RateLimit",
    "ResoluteError",
    "Retry",
    "Run",
    "RunConflict",
    "RunEvent",
    "RunFailed",
    "RunNotFound",
    "RunPruned",
    "Secret",
    "Worker",
    "WorkerConfig",
    "activity",
    "bearer",
    "current",
    "cursor",
    "env",
    "flow",
    "github",
    "hmac_sha256",
    "input_data",
    "item",
    "manual",
    "now",
    "output",
    "paginated",
    "run_id",
    "schedule",
    "secret",
    "slack",
    "steps",
    "text",
    "tick",
    "unsigned",
    "webhook",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"resolute has no {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
