"""Requests to the manager: bytes there, bytes back, or a refusal when nobody answers in time.

Replies are not decoded here: a history of many megabytes passes through as it came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import zmq.asyncio

from ..client.sockets import AsyncSockets, Attempt, NoAnswer
from ..client.target import Target
from .refusals import no_answer

#: Seconds that a manager has for an answer ...
PATIENCE = 2.0
#: ... and seconds more for each byte of the request: a big batch is checked item by item.
_PATIENCE_PER_BYTE = 2e-6
#: Seconds after which a request that may be sent twice is sent once more: a manager that died took the first one with it.
FIRST_ATTEMPT = 0.75


class Requests:
    """The way to the manager for all handlers.

    Parameters
    ----------
    target
        Where the manager is.
    reason
        Gives a sentence on why it may be silent; empty if nothing is known.
    unanswered
        Called when a request that wants to change something was not answered: a user's wish for a manager.
    """

    def __init__(
        self,
        context: zmq.asyncio.Context,
        target: Target,
        reason: Callable[[], str] = str,
        unanswered: Callable[[], None] = lambda: None,
    ) -> None:
        self._target = target
        self._reason = reason
        self._unanswered = unanswered
        self._sockets = AsyncSockets(context)

    async def send(self, request: bytes, *, repeatable: bool = False, is_wish: bool | None = None) -> bytes:
        """Return the reply to a request; raises `Refusal` (408).

        Parameters
        ----------
        repeatable
            Whether it may be sent twice, because it changes nothing, or because the manager does it once only.
        is_wish
            Whether somebody wants to change something; None: unless it may be sent twice.
        """
        patience = PATIENCE + len(request) * _PATIENCE_PER_BYTE
        try:
            async with asyncio.timeout(patience):  # includes the wait for a free socket
                waits = (FIRST_ATTEMPT, patience) if repeatable else (patience,)
                reply, _ = await self._sockets.exchange(Attempt(self._target, request, wait) for wait in waits)
                return reply
        except (NoAnswer, TimeoutError) as err:
            if is_wish or (is_wish is None and not repeatable):
                self._unanswered()
            raise no_answer(patience, self._reason()) from err

    def close(self) -> None:
        """Close the sockets."""
        self._sockets.close()
