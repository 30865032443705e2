"""The run of `five_steps.py` written by hand with Temporal's SDK: five activities that do nothing and one branch.

It imports nothing else, for the SDK's sandbox imports it anew for each run.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
async def step_by_hand(number: int) -> int:
    return number


@workflow.defn
class FiveSteps:
    @workflow.run
    async def run(self, number: int) -> int:
        first = await _step(number)
        second = await _step(first)
        third = await _step(second) if second == 1 else 0
        fourth = await _step(third)
        return await _step(fourth)


async def _step(number: int) -> int:
    return await workflow.execute_activity(step_by_hand, number, start_to_close_timeout=timedelta(minutes=5))
