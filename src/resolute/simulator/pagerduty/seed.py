"""The account a simulator starts with: small, complete, ready to page somebody."""

from __future__ import annotations

from resolute.simulator.pagerduty.world import World

PRIORITIES = {
    "P1": "Critical issue that warrants public notification and liaison with executive teams",
    "P2": "Critical system issue actively impacting many customers' ability to use the product",
    "P3": "Stability or minor customer-impacting issues that require immediate attention from service owners",
    "P4": "Minor issues requiring action, but not affecting customers' ability to use the product",
    "P5": "Cosmetic issues or bugs, not affecting customers' ability to use the product",
}


def checkout_account(world: World) -> None:
    """One service "Checkout", three people, a weekly rotation before a permanent second level, two API keys.

    Ada Moreno and Ben Okafor take turns; Chris Lindqvist is level 2. The first API key is full, the
    second read-only. Priorities are P1 to P5.
    """
    ada, ben, chris = world.add_user("Ada Moreno"), world.add_user("Ben Okafor"), world.add_user("Chris Lindqvist")
    rotation = world.add_schedule("Checkout on call", [ada, ben])
    world.add_service("Checkout", world.add_policy("Checkout escalation", [[rotation], [chris]]))
    world.add_api_key()
    world.add_api_key(read_only=True)
    for name, description in PRIORITIES.items():
        world.add_priority(name, description)


def empty_account(world: World) -> None:
    """Nothing at all; add what the test needs."""
