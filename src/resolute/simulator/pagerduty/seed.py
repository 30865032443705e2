"""The account a simulator starts with: small, complete, ready to page somebody."""

from __future__ import annotations

from resolute.simulator.pagerduty.world import World


def checkout_account(world: World) -> None:
    """One service "Checkout", three people, a weekly rotation before a permanent second level, two API keys.

    Ada Moreno and Ben Okafor take turns; Chris Lindqvist is level 2. The first API key is full, the
    second read-only.
    """
    ada, ben, chris = world.add_user("Ada Moreno"), world.add_user("Ben Okafor"), world.add_user("Chris Lindqvist")
    rotation = world.add_schedule("Checkout on call", [ada, ben])
    world.add_service("Checkout", world.add_policy("Checkout escalation", [[rotation], [chris]]))
    world.add_api_key()
    world.add_api_key(read_only=True)


def empty_account(world: World) -> None:
    """Nothing at all; add what the test needs."""
