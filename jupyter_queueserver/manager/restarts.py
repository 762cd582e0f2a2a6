"""What follows from a manager's end: stop as well, give up with the reason, or start another, and after
which pause.

Pure: times are handed in, so that every case can be tried without waiting.
"""

from __future__ import annotations

from enum import Enum

GOOD_LIFE = 10.0
"""Seconds of readiness after which a manager counts as having worked, so that the next start is immediate."""
LONGEST_PAUSE = 30.0
"""Longest pause before another start, in seconds."""
SHORT_PAUSE = 1.0
"""Longest pause after a manager that had become ready: it works, so somebody or something kills it."""
FIRST_TRIES = 5
"""Starts that may fail before a manager that never worked is given up."""
REFUSED = 3
"""Exit status of a manager that refuses to start."""


class Next(Enum):
    """What to do after a manager's end."""

    END = "end"
    REFUSED = "refused"
    GIVE_UP = "give up"
    RESTART = "restart"


class Restarts:
    """The rule, with its memory of earlier lives.

    Parameters
    ----------
    worked_before
        Whether a manager of this instance is known to have started well: then it is never given up.
    """

    def __init__(self, *, worked_before: bool = False) -> None:
        self._worked = worked_before
        self._failures = 0

    @property
    def worked(self) -> bool:
        """Whether a manager has served requests before."""
        return self._worked

    def is_ready(self) -> None:
        """Note that a manager serves requests."""
        self._worked = True

    def after_exit(self, *, ready_for: float | None, status: int | None, ending: bool, failed: bool) -> tuple[Next, float]:
        """Decide.

        Parameters
        ----------
        ready_for
            Seconds that this manager had been ready; None if it never was.
        status
            Exit status, negative for a signal; None if it is not known (not our child).
        ending
            Whether it had told that it ends on purpose.
        failed
            Whether it had told that it refuses to start.

        Returns
        -------
        tuple
            What to do, and the pause before it in seconds.
        """
        if ending or status == 0:
            return Next.END, 0.0
        if not self._worked and (failed or status == REFUSED):
            return Next.REFUSED, 0.0
        if ready_for is not None and ready_for > GOOD_LIFE:
            self._failures = 0
        longest = LONGEST_PAUSE if ready_for is None else SHORT_PAUSE
        pause = min(0.25 * 2 ** min(self._failures, 10), longest) if self._failures else 0.0
        self._failures += 1
        if not self._worked and self._failures >= FIRST_TRIES:
            return Next.GIVE_UP, 0.0
        return Next.RESTART, pause
