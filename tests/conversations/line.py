"""A line to a queue server, whatever it is made of: the one thing that a conversation knows.

What a conversation says and hears is kept as turns, so that two lines can be compared.  Nothing here knows how a line works.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jupyter_queueserver.api import methods

Reply = dict[str, Any]
Status = dict[str, Any]

#: What every line has uploaded before a conversation begins: plans and functions that are steered from outside.
PRELUDE = '''
import threading as _threading
from pathlib import Path as _Path


def hold(go: str):
    """Run until the file is there."""

    @bpp.run_decorator()
    def inner():
        while not _Path(go).exists():
            yield from bps.checkpoint()
            yield from bps.sleep(0.02)

    return (yield from inner())


def double(value, factor=2):
    return value * factor


def broken():
    raise ValueError("simulated mistake")


def linger(go):
    while not _Path(go).exists():
        _threading.Event().wait(0.02)
'''
#: A script that fails after its first statement.
BROKEN_SCRIPT = "left_behind = 1\nraise ValueError('simulated mistake')\n"
EMERGENCY_KEY = "break-the-glass"


class Turn(NamedTuple):
    """One request and what came of it."""

    method: str
    params: dict[str, Any]
    reply: Reply


class Line(abc.ABC):
    """One way in.

    Attributes
    ----------
    way
        Its name.
    user, user_group
        Who talks.
    submitter
        ``sent``: requests themselves say who submits; ``known``: the server knows, and cannot be told anything else; ``filled``:
        it is added to requests that do not say it.
    folder
        Where a conversation may write files; the worker sees it too.
    turns
        What was said so far, the resetting between conversations apart.
    """

    way: str
    user = "talker"
    user_group = "primary"
    submitter: Literal["sent", "known", "filled"] = "sent"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.turns: list[Turn] = []
        self._files = 0

    # -- what a way in has to bring ------------------------------------------------------------

    @abc.abstractmethod
    def exchange(self, method: str, params: dict[str, Any]) -> Reply:
        """Send a request and return the reply; a refusal of another protocol has its status under ``http_status``."""

    @abc.abstractmethod
    def wait(self, condition: Callable[[Status], Any], what: str) -> Status:
        """Return the first status that fulfils the condition, the present one included."""

    @abc.abstractmethod
    def mark(self) -> None:
        """Forget the states so far, see `states`."""

    @abc.abstractmethod
    def states(self) -> list[str]:
        """Every ``manager_state`` since `mark`, without repetitions; begins with the one at the mark."""

    @abc.abstractmethod
    def let_go(self, path: str) -> None:
        """What waits for this file goes on."""

    def serves(self, method: str) -> bool:
        """Whether the method can be called at all."""
        return True

    # -- what conversations use ----------------------------------------------------------------

    def call(self, method: str, /, **params: Any) -> Reply:
        """Send a request, with who submits where the method wants to know it."""
        return self.say(method, self.identity(method) | params)

    def identity(self, method: str) -> dict[str, Any]:
        """What a request for the method has to say about who submits."""
        return self.who(method) if self.submitter == "sent" else {}

    def who(self, method: str) -> dict[str, Any]:
        """Who submits, as far as the method wants to know it."""
        known = {"user": self.user, "user_group": self.user_group}
        return {name: known[name] for name in methods()[method].parameter_names if name in known}

    def say(self, method: str, params: dict[str, Any]) -> Reply:
        """Send exactly these parameters."""
        reply = self.exchange(method, params)
        self.turns.append(Turn(method, params, reply))
        return reply

    def ok(self, method: str, /, **params: Any) -> Reply:
        """`call` that must succeed; returns the reply."""
        reply = self.call(method, **params)
        assert reply.get("success") is True, f"{method}: {reply}"
        assert reply["msg"] == ""
        assert set(methods()[method].reply) <= set(reply), reply
        return reply

    def refused(self, text: str, method: str, /, **params: Any) -> Reply:
        """`call` that must be refused with this text, in the whole form of a refusal."""
        return self.denied(text, method, self.identity(method) | params)

    def denied(self, text: str, method: str, params: dict[str, Any]) -> Reply:
        """`say` that must be refused with this text."""
        reply = self.say(method, params)
        if "http_status" in reply:  # judged by its form: the comparison looks at whether it should be
            assert reply["detail"]
        else:
            assert reply["success"] is False, f"{method} was not refused: {reply}"
            assert text in reply["msg"], reply["msg"]
            assert reply["error"].keys() == {"code", "hint", "path"}
            assert set(methods()[method].reply) <= set(reply), reply
        return reply

    def peek(self, method: str, /, **params: Any) -> Reply:
        """`call` that is no turn of the conversation."""
        return self.exchange(method, self.identity(method) | params)

    def status(self) -> Status:
        """The status, as a turn."""
        return self.call("status")

    def add(self, name: str, *args: Any, pos: Any = "back", **kwargs: Any) -> str:
        """Add a plan; returns its uid."""
        item: dict[str, Any] = {"item_type": "plan", "name": name, "args": list(args), "kwargs": kwargs}
        return self.ok("queue_item_add", item=item, pos=pos)["item"]["item_uid"]

    def queue(self) -> list[str]:
        """The uids of the queue, as a turn."""
        return [item["item_uid"] for item in self.ok("queue_get")["items"]]

    def results(self) -> list[tuple[str, str]]:
        """Uid and exit status of everything in the history, as a turn."""
        return [(item["item_uid"], item["result"]["exit_status"]) for item in self.ok("history_get")["items"]]

    def go_file(self) -> str:
        """A file that is not there yet."""
        self._files += 1
        return str(self.folder / f"go-{self._files}")

    def idle(self) -> Status:
        """Wait until everything is over."""
        return self.wait(lambda status: status["manager_state"] == "idle", "the state idle")

    def running(self, item_uid: str) -> None:
        """Wait until that item runs and has opened its run."""
        self.wait(
            lambda status: status["running_item_uid"] == item_uid and status["re_state"] == "running" and self._has_open_run(),
            f"item {item_uid} to run",
        )

    def _has_open_run(self) -> bool:
        return any(run["is_open"] for run in self.peek("re_runs")["run_list"])

    def paused(self) -> None:
        """Wait until the plan is paused."""
        self.wait(lambda status: status["manager_state"] == "paused" and not status["pause_pending"], "the plan to pause")

    def finished(self, task_uid: str) -> Reply:
        """Wait for the end of a task; returns its result, as a turn."""
        self.wait(lambda _: self.peek("task_status", task_uid=task_uid)["status"] == "completed", f"the end of task {task_uid}")
        return self.ok("task_result", task_uid=task_uid)["result"]

    # -- between conversations -----------------------------------------------------------------

    def reset(self) -> None:
        """Bring everything back to where a conversation begins: open and idle, with nothing in queue and history."""
        self.peek("unlock", lock_key=EMERGENCY_KEY)
        self.peek("queue_autostart", enable=False)
        if self.peek("status")["manager_state"] != "idle":  # a conversation that broke off
            self.peek("environment_destroy")
            self.idle()
        for method in ("queue_clear", "history_clear"):
            assert self.peek(method)["success"]
        assert self.peek("queue_mode_set", mode="default")["success"]
        assert self.peek("permissions_reload", restore_permissions=True)["success"]
        self.open()
        self.turns.clear()

    def open(self) -> None:
        """Have an open environment with the prelude; no turns."""
        if not self.peek("status")["worker_environment_exists"]:
            reply = self.peek("environment_open")
            assert reply["success"], reply
            status = self.idle()
            assert status["worker_environment_exists"], status["environment_failure"]
        if "hold" in self.peek("plans_existing")["plans_existing"]:
            return
        reply = self.peek("script_upload", script=PRELUDE)
        assert reply["success"], reply
        self.wait(lambda status: self.peek("task_status", task_uid=reply["task_uid"])["status"] == "completed", "the prelude")
        self.idle()
