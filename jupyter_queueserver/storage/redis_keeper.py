"""The thread that keeps the lease of a Redis store, and notices when the server goes, comes back, or is another one.

It asks nothing but the one function that it is given, and decides nothing about the state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: seconds that a lease lasts when it is not renewed
LEASE = 10.0
#: seconds between two renewals
INTERVAL = 2.0
#: seconds between two attempts while something is wrong
RETRY = 0.5


class Keeper:
    """Calls a function again and again until it is stopped.

    Parameters
    ----------
    look
        Renews the lease; returns whether all is well.  It must not raise.
    """

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-lease", daemon=True)

    def start(self) -> None:
        """Begin; the first look is after `INTERVAL`."""
        self._thread.start()

    def hurry(self) -> None:
        """Look soon: something went wrong."""
        self._hurry.set()

    def stop(self) -> None:
        """End; a look that is under way is waited for only if it is short."""
        self._stopped.set()
        self._hurry.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _run(self) -> None:
        pause = INTERVAL
        while not self._stopped.is_set():
            if self._hurry.wait(pause):
                self._hurry.clear()
                self._stopped.wait(RETRY)
            if not self._stopped.is_set():
                pause = INTERVAL if self._look() else RETRY
