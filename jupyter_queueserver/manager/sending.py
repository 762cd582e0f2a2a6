"""Sending at once or not at all: what the event stream and the info socket do, so that a slow reader delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import zmq
import zmq.asyncio

#: Bytes from which a message is handed over without a copy.
_BIG = 65536


def send_now(socket: zmq.asyncio.Socket, frames: Sequence[bytes]) -> None:
    """Send a message now; raises `zmq.Again` when the reader's queue is full, another `zmq.ZMQError` when it is gone."""
    sent: asyncio.Future[object] = socket.send_multipart(list(frames), zmq.NOBLOCK, copy=len(frames[-1]) < _BIG)  # type: ignore[assignment]
    if not sent.done():  # it would have to wait
        sent.cancel()
        raise zmq.Again
    sent.result()
