"""A manager at a private address of the test: the real rules and a scripted worker, no clock and no second process."""

from __future__ import annotations

import threading
from typing import Any

import zmq
from core_stage import Stage

from jupyter_queueserver.api import Context, methods, parse_request, read_call
from jupyter_queueserver.core import codec


class SeedManager:
    """Answers requests, one after another, and lets happen what follows.

    Attributes
    ----------
    stage
        The state and its worker; made anew by `prepare`.
    requests
        What was asked since then.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.stage = Stage()
        self.requests: list[dict[str, Any]] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve, name="seed manager")
        self._thread.start()

    def prepare(self, given: str) -> None:
        """Begin with five plans, 0 to 4, in the queue, in a state: closed, open, running, stopping, paused.

        No request may be under way.
        """
        stage = Stage.opened(*range(5))
        if given == "closed":
            stage.ok("environment_close")
            stage.go_on()
            stage.notice_death()
        if given in ("running", "stopping"):
            stage.started()
        if given == "stopping":
            stage.ok("queue_stop")
        if given == "paused":
            stage.paused()
        self.stage, self.requests = stage, []

    def facts(self) -> dict[str, Any]:
        """What can be seen of the state, in short words; plans that were added later are called by their names."""
        state = self.stage.state
        return {
            "queue": [_label(item) for item in state.queue],
            "running": _label(state.running) if state.running else None,
            "past": [(_label(item), item.fields["result"]["ending"]) for item in state.history],
            "environment": state.environment.state,
            "execution": state.execution.state,
            "stopping": state.execution.stop_pending,
        }

    def _serve(self) -> None:
        while True:
            peer, empty, body = self._socket.recv_multipart()
            if body == b"end":
                return
            request = codec.from_json(body)
            self.requests.append(request)
            reply = self._answer(request["method"], request["params"])
            if reply is not None:
                self._socket.send_multipart([peer, empty, codec.to_json(reply)])

    def _answer(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if methods()[method].kind == "read":
            call = parse_request({"method": method, "params": params})
            return read_call(call, self.stage.state, Context(epoch="life", version="0", local_time=str))
        reply = self.stage.call(method, **params)
        if method in ("manager_kill", "manager_stop"):
            self.stage.wishes.clear()
            return None if method == "manager_kill" else reply
        self.stage.go_on()
        self.stage.notice_death()
        if method == "re_pause" and self.stage.worker:
            self.stage.worker.reach_checkpoint()
            self.stage.pull()
        return reply

    def close(self) -> None:
        """End the thread."""
        with self._context.socket(zmq.DEALER) as last:
            last.setsockopt(zmq.LINGER, 1000)
            last.connect(self.address)
            last.send_multipart([b"", b"end"])
            self._thread.join(5)
        self._context.destroy(linger=0)


def _label(item: Any) -> int | str:
    kwargs = item.fields.get("kwargs", {})
    return item.fields["name"] if item.fields.get("args") else kwargs["num"]
