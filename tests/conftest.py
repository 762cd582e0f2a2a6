"""Settings for all tests."""

from __future__ import annotations

import signal

from hypothesis import settings

# How long an example may take says more about the machine than about the code.  What must pass on every machine looks at the
# same examples each time; new ones are sought by `make test-all`, with the profile "explore".
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("same")

# A runner in the background of a shell ignores these, and so would all processes that the tests start.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
