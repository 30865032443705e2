"""The flow language as frozen data: no I/O, no clock, nothing but the standard library and pydantic."""
