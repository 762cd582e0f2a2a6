"""One blocking client of a manager, on a bare 0MQ socket, so that the client's own cost is the least possible."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import zmq

User = {"user": "bench", "user_group": "primary"}


class Line:
    """A REQ socket to an address; every answer must come within `limit` seconds."""

    def __init__(self, address: str, limit: float = 120.0) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.REQ)
        self._socket.linger = 0
        self._socket.rcvtimeo = round(limit * 1000)
        self._socket.reconnect_ivl = 2  # ms; the default of 100 would be seen when a start is measured
        self._socket.connect(address)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._context.destroy(linger=0)

    def exchange(self, request: bytes) -> bytes:
        """Send bytes, return bytes."""
        self._socket.send(request)
        return self._socket.recv()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and return its reply."""
        return json.loads(self.exchange(request(method, **params)))

    def must(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method that has to succeed."""
        reply = self.call(method, **params)
        if reply.get("success") is False:
            raise RuntimeError(f"{method} was refused: {reply.get('msg')}")
        return reply

    def until(self, wanted: Callable[[dict[str, Any]], bool], period: float = 0.005, limit: float = 120.0) -> dict[str, Any]:
        """Ask for the status every `period` seconds until it is as wanted; return it."""
        deadline = time.monotonic() + limit
        while not wanted(status := self.call("status")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The wanted state was not reached; the last status was {status}")
            time.sleep(period)
        return status


def request(method: str, **params: Any) -> bytes:
    """Encode a request."""
    return json.dumps({"method": method, "params": params}).encode()


def is_idle(status: dict[str, Any]) -> bool:
    """Whether nothing is executed."""
    return status["manager_state"] == "idle"


def is_done(status: dict[str, Any]) -> bool:
    """Whether the queue has run to its end."""
    return is_idle(status) and status["items_in_queue"] == 0


def is_open(status: dict[str, Any]) -> bool:
    """Whether the environment is open and idle."""
    return is_idle(status) and status["worker_environment_exists"]


def is_closed(status: dict[str, Any]) -> bool:
    """Whether there is no environment, nor one that is being opened or closed."""
    return is_idle(status) and not status["worker_environment_exists"]
