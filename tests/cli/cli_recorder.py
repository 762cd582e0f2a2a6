"""A server that keeps what it is asked: what `qserver` really sends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import zmq

from jupyter_queueserver.core import codec


class Recorder:
    """Answers every request with `reply` and keeps what was asked, and apart from it the ids of the requests."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[Any] = []
        self.request_ids: list[str | None] = []
        self.reply: dict[str, Any] = {"success": True, "msg": ""}
        self.decode: Callable[[bytes], Any] = codec.from_json
        self.encode: Callable[[Any], bytes] = codec.to_json
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while (frame := self._socket.recv()) != b"end":
            asked = self.decode(frame)
            self.request_ids.append(asked["params"].pop("request_id", None))
            self.asked.append(asked)
            self._socket.send(self.encode(self.reply))

    def close(self) -> None:
        """End the thread."""
        with self._context.socket(zmq.REQ) as last:
            last.setsockopt(zmq.LINGER, 1000)
            last.connect(self.address)
            last.send(b"end")
            self._thread.join(5)
        self._context.destroy(linger=0)
