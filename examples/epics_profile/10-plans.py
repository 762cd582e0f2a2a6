"""The plans that may be submitted: two of Bluesky's own."""

from bluesky.plans import count, scan  # noqa: F401 - meant for the namespace
