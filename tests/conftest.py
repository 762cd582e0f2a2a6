"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example may take says more about the machine than about the code.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")
