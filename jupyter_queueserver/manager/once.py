"""What is tried again and again, said once: when it fails first, when the reason changes, and when it is over.

It only writes to a log; how long is tried, and how often, is for others to decide.
"""

from __future__ import annotations

import logging


class SaidOnce:
    """What goes wrong with one thing that is repeated.

    Parameters
    ----------
    log
        Where to.
    level
        Of a failure, as of `logging`; the end is a warning at most.
    """

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        self._log = log
        self._level = level
        self._said: set[str] = set()

    def failed(self, text: str) -> None:
        """It failed; nothing is said if that text was said before, since it went well last."""
        if text not in self._said:
            self._said.add(text)
            self._log.log(self._level, "%s", text)

    def over(self, text: str) -> None:
        """It went well, or is not wanted any more; said only if it had failed."""
        if self._said:
            self._said.clear()
            self._log.log(min(self._level, logging.WARNING), "%s", text)
