"""`resolute demo`: one incident from start to end, for real, on one machine.

`flow` is what runs, `activities` what it does, `shop` the service that breaks. `stage` is the machinery around
them, `story` the order of events, `tally` what is counted in the end.
"""
