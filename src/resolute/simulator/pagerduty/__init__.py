"""A local PagerDuty: its account, its two APIs and its faults.

`core` ties it together; `transport` puts it into a client, `server` on a socket.
"""
