"""The Temporal engine: the same flows on many machines. Needs the extra `temporal`."""
