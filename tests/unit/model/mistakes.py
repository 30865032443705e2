"""What the tests of mistakes share: a flow that is good so far, and the list of what `build()` finds in a bad one."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, computed_field

from resolute.errors import FlowError
from resolute.model.activity import Activity, SecretText, activity
from resolute.model.flow import FlowBuilder, flow
from resolute.model.payload import Payload
from resolute.model.refs import output
from resolute.model.trigger import manual

MAY_NOT_EXIST = (
    "which may not exist by then (a branch not taken, a node that failed). "
    "Read it where it surely exists, or give a default: output(..., default=...)."
)


class Disk(BaseModel):
    mount: str
    used: float


class Health(BaseModel):
    status: str
    disks: list[Disk] = []
    by_name: dict[str, Disk] = {}
    worst: Disk | None = None
    metrics: dict[str, Any] = {}

    @computed_field
    def failed(self) -> bool:
        return self.status != "ok"

    @property
    def label(self) -> str:
        return self.status


class Alert(BaseModel):
    host: str
    level: Literal["high", "low"] = "low"


class User(BaseModel):
    id: int
    name: str
    tags: list[str] = []

    @property
    def label(self) -> str:
        return self.name


class Link(Payload):
    href: str


@activity
async def check(url: str = "https://x") -> Health: ...


@activity
async def notify(text: str, link: Link | None = None, details: dict[str, Any] | None = None) -> int: ...


@activity
async def login(token: SecretText, user: str = "") -> None: ...


@activity
async def users() -> list[User]: ...


@activity
async def release(text: str = "") -> int: ...


class PagingActivity(Activity[Any, Any]):
    """An activity whose attempts are sends of the incident log."""

    @property
    def is_paging(self) -> bool:
        return True


async def ring(text: str = "") -> int: ...


page = PagingActivity(ring, name="vendor.page")


def start() -> FlowBuilder:
    return flow("disk-full").triggered_by(manual())


def begun() -> FlowBuilder:
    """A good flow so far: `health` exists for certain, `page` only in one arm."""
    return (
        start()
        .then(check().as_("health"))
        .when(output("health.status") == "critical", key="critical")
        .then(notify("x").as_("page"))
        .end_when()
    )


def problems_of(builder: Any) -> list[str]:
    """What `build()` finds."""
    with pytest.raises(FlowError) as caught:
        builder.build()
    return list(caught.value.problems)
