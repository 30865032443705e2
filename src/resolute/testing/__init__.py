"""For tests of flows: virtual time and the local PagerDuty."""
