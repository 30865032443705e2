"""The flow of the demo, and the account that it pages through; `resolute worker resolute.demo.flow` runs it."""

from __future__ import annotations

from resolute.demo.activities import announce, check_shop
from resolute.model.flow import flow
from resolute.model.refs import env, output
from resolute.model.trigger import manual
from resolute.providers import pagerduty

account = pagerduty.PagerDutyProvider()

# fmt: off
watch_shop = (
    flow("watch-shop").triggered_by(manual("check"))
    .then(check_shop(url=env("SHOP_URL")).as_("health"))
    .when(lambda state: state["health"].status == "down" and not state["health"].is_open)
        .then(pagerduty.trigger_event(summary=output("health.message"), source="shop",
                                      severity="critical", dedup_key="shop-is-down"))
        .then(pagerduty.get_on_calls().as_("oncall"), announce(people=output("oncall.oncalls")))
    .end_when()
    .when(lambda state: state["health"].status == "healthy" and state["health"].is_open)
        .then(pagerduty.resolve_event(dedup_key="shop-is-down"))
    .end_when().build()
)
# fmt: on
