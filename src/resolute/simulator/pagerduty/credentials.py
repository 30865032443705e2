"""Who asks, and what they may: keys of the account, of users, and OAuth tokens with scopes.

Source: PagerDuty REST API v2, "Authentication" and "OAuth Functionality"; texts where none is documented are ours.
"""

from __future__ import annotations

from datetime import datetime

from resolute.simulator.pagerduty.refusals import Refused
from resolute.simulator.pagerduty.resources import ApiKey, User
from resolute.simulator.pagerduty.rules import Rules
from resolute.simulator.pagerduty.wire import SimRequest
from resolute.simulator.pagerduty.world import World

RESPONDERS = frozenset({"owner", "admin", "user", "limited_user"})
"""Roles that may act on incidents. Source: PagerDuty support, "User Roles"."""

MANAGERS = frozenset({"owner", "admin", "user"})
"""Roles that may change services and webhook subscriptions."""


def authenticate(request: SimRequest, world: World, now: datetime) -> ApiKey:
    """The key that the `Authorization` header names.

    Raises:
        Refused: 401; no header, another form, an unknown key, or one that has expired.
    """
    header = (request.header("authorization") or "").strip()
    scheme, _, token = header.partition("=")
    if scheme.strip().lower() == "token token":
        key = world.api_keys.get(token.strip())
        if key is not None and key.kind != "bearer":
            return key
    scheme, _, token = header.partition(" ")
    if scheme.lower() == "bearer":
        key = world.api_keys.get(token.strip())
        if key is not None and key.kind == "bearer" and (key.expires_at is None or now < key.expires_at):
            return key
    raise Refused(401, 2006, "Authentication Failed")


def check_rights(key: ApiKey, scope: str, world: World) -> None:
    """Whether the key may do what needs `scope`, such as "incidents.write".

    Raises:
        Refused: 403; a read-only key that writes, a missing scope, a user whose role does not permit it.
    """
    resource, _, verb = scope.partition(".")
    if key.kind == "bearer" and scope not in key.scopes and not (verb == "read" and f"{resource}.write" in key.scopes):
        raise Refused(403, 2010, "Access Denied", f"Scope {scope} is required.")
    if verb != "write":
        return
    if key.read_only:
        raise Refused(403, 2010, "Access Denied")
    if key.user_id is not None:
        allowed = RESPONDERS if resource == "incidents" else MANAGERS
        if world.users[key.user_id].role not in allowed:
            raise Refused(403, 2010, "Access Denied")


def find_requester(request: SimRequest, key: ApiKey, world: World, rules: Rules) -> User:
    """The user on whose behalf a write is made: the key's own, else the one in the `From` header.

    With `rules.require_from` off, a missing or unknown `From` counts as the account's first user.

    Raises:
        Refused: 400; `From` is missing, malformed, or names nobody.

    Source: PagerDuty REST API v2, "HTTP request headers"; the texts come from users' reports.
    """
    if key.user_id is not None:
        return world.users[key.user_id]
    email = request.header("from")
    user = world.find_user(email) if email else None
    if user is not None:
        return user
    first = next(iter(world.users.values()), None)
    if not rules.require_from and first is not None:
        return first
    if not email:
        raise Refused(400, 2016, 'You must specify a user\'s email address in the "From" header to perform this action')
    if "@" not in email:
        raise Refused(400, 1028, 'Malformed "From" header')
    raise Refused(400, 1008, "Requester User Not Found")
