"""For tests of flows: the real engine in virtual time, mocks, the local PagerDuty, and crashes everywhere."""

from resolute.simulator import PagerDutySimulator, SimulatorTransport
from resolute.testing.accounts import SentEvent
from resolute.testing.crash import CrashDifference, CrashReport, crash_everywhere
from resolute.testing.flow_tester import FlowTester
from resolute.testing.result import FlowFailed, FlowResult
from resolute.testing.script import ScriptError
from resolute.testing.virtual_time import Stuck, VirtualClock, VirtualLoop, run_virtual

__all__ = [
    "CrashDifference",
    "CrashReport",
    "FlowFailed",
    "FlowResult",
    "FlowTester",
    "PagerDutySimulator",
    "ScriptError",
    "SentEvent",
    "SimulatorTransport",
    "Stuck",
    "VirtualClock",
    "VirtualLoop",
    "crash_everywhere",
    "run_virtual",
]
