"""A shell with an open environment and short words for what happens in it, for tests by example."""

from __future__ import annotations

from typing import Any

from model_shell import Shell

from jupyter_queueserver.core.changes import ModeSet
from jupyter_queueserver.core.state import QueueMode

ME = {"user": "me", "user_group": "primary"}
QUEUE_STOP: dict[str, Any] = {"item_type": "instruction", "name": "queue_stop"}


def plan(number: int) -> dict[str, Any]:
    """A plan that can be told from others by its argument."""
    return {"item_type": "plan", "name": "count", "kwargs": {"num": number}}


class Stage(Shell):
    """Plans are named by their number; the instruction is ``"stop"``."""

    @classmethod
    def opened(cls, *numbers: int, **mode: bool) -> Stage:
        """With an environment, and those plans in the queue."""
        stage = cls()
        stage.ok("environment_open")
        stage.go_on()
        stage.mode(**mode)
        for number in numbers:
            stage.add(number)
        return stage

    def mode(self, **mode: bool) -> None:
        self.submit(lambda step: step.emit(ModeSet(mode=QueueMode(**mode))))

    def ok(self, method: str, **params: Any) -> dict[str, Any]:
        """A request that must succeed."""
        reply = self.call(method, **params)
        assert reply["success"], reply
        assert reply["msg"] == ""
        return reply

    def refused(self, method: str, **params: Any) -> dict[str, Any]:
        """A request that must be refused and change nothing."""
        before = self.state
        reply = self.call(method, **params)
        assert not reply["success"]
        assert self.state is before
        return reply

    def add(self, number: int, **place: Any) -> str:
        """Add a plan; returns its uid."""
        return self.ok("queue_item_add", item=plan(number), **ME, **place)["item"]["item_uid"]

    def go_on(self) -> None:
        """Wishes are carried out, the worker takes what it got, its reports arrive."""
        while self.wishes:
            self.carry_out()
        if self.worker:
            self.worker.load(fails=False)
            self.worker.take()
        self.pull()

    def started(self) -> Stage:
        self.ok("queue_start")
        self.go_on()
        return self

    def paused(self) -> Stage:
        """Start, and pause the first plan."""
        self.started().ok("re_pause", option="immediate")
        self.go_on()
        assert self.worker
        self.worker.reach_checkpoint()
        self.pull()
        return self

    def end(self, ending: str = "completed") -> None:
        """The running plan ends; what follows happens."""
        assert self.worker
        self.worker.end(ending)
        self.pull()
        self.go_on()

    def hand_over(self) -> None:
        """Wishes are carried out; the worker has the item and has not taken it yet."""
        while self.wishes:
            self.carry_out()

    def kill(self) -> None:
        assert self.worker
        self.worker.alive = False
        self.notice_death()

    @property
    def numbers(self) -> list[Any]:
        """What is queued."""
        return [item.fields["kwargs"]["num"] if item.is_plan else "stop" for item in self.state.queue]

    @property
    def running(self) -> int | None:
        return self.state.running.fields["kwargs"]["num"] if self.state.running else None

    @property
    def past(self) -> list[tuple[int, str, str]]:
        """Number, exit status and ending of what is in the history."""
        found = []
        for item in self.state.history:
            result = item.fields["result"]
            found.append((item.fields["kwargs"]["num"], result["exit_status"], result["ending"]))
        return found

    @property
    def uids(self) -> list[str]:
        return [item.item_uid for item in self.state.queue]
