"""How often a request is sent, and the ids by which the manager knows one that comes again.

Pure: the asynchronous and the blocking client both use this.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..api import methods
from ..api.registry import REQUEST_ID

#: Seconds after which a request is sent again the first time: a manager that died took it with it.  Then twice as many each time.
FIRST_ATTEMPT = 0.75
#: Seconds more for each byte of the request: a batch is checked item by item.
PER_BYTE = 2e-6
#: Seconds without ids after a manager refused one: it is an older one, or it has no room.
_PAUSE = 60.0

_log = logging.getLogger(__name__)


class RequestIds:
    """Gives every writing request an id, unless its sender did, or the manager takes none.

    Parameters
    ----------
    clock
        Seconds since whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paused_until = float("-inf")
        self._is_told = False

    def fresh(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the id to be added, under its name; empty: none."""
        declared = methods().get(method)
        if declared is None or not declared.is_recorded or declared.unanswered:
            return {}
        if REQUEST_ID.name in params or self._clock() < self._paused_until:
            return {}
        return {REQUEST_ID.name: str(uuid.uuid4())}

    def are_refused(self, reply: Mapping[str, Any]) -> bool:
        """Whether the manager did nothing only because the request had an id; then no more are given for a while."""
        error = reply.get("error")
        code = error.get("code") if isinstance(error, Mapping) else ""
        msg = str(reply.get("msg"))
        # Servers that do not know ids say so in the words of the interface.
        is_unknown = "unsupported parameters" in msg and f"'{REQUEST_ID.name}'" in msg.partition(". Supported")[0]
        if reply.get("success", True) or not (is_unknown or code == "too_many_request_ids"):
            return False
        if not is_unknown and not self._is_told:
            self._is_told = True
            _log.warning(
                "The manager has no room for request ids; until it has, requests are sent without and not repeated: %s", msg
            )
        self._paused_until = self._clock() + _PAUSE
        return True


def is_repeatable(method: str, params: Mapping[str, Any]) -> bool:
    """Whether the request may be sent twice: it changes nothing, or the manager knows it again."""
    declared = methods().get(method)
    return declared is not None and (not declared.is_recorded or params.get(REQUEST_ID.name) is not None)


def attempts(limit: float, size: int, *, repeatable: bool) -> Iterator[float]:
    """Yield how many seconds to wait for an answer, each time that the request is sent; all together `limit`.

    Parameters
    ----------
    size
        Bytes of the request.
    """
    wait = FIRST_ATTEMPT + size * PER_BYTE
    while repeatable and limit > 1.5 * wait:
        yield wait
        limit -= wait
        wait *= 2
    yield limit
