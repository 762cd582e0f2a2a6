"""A browser's way from what it misses to what everybody gets: whatever the order of arrival, nothing is missing or twice."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from jupyter_queueserver.gateway.follower import Follower
from jupyter_queueserver.gateway.outbox import MAX_MESSAGES
from jupyter_queueserver.gateway.subscription import Message, Position


def told(kind: str, epoch: str, first: int | None, seq: int) -> Message:
    """A message with a state."""
    text = json.dumps({"kind": kind, "epoch": epoch, "first": first, "seq": seq}).encode()
    return Message(kind, text, epoch=epoch, first=first, seq=seq)


class Manager:
    """Numbered changes, and channels on which they arrive later."""

    def __init__(self) -> None:
        self.epoch, self.seq = "life1", 5
        self.to_all: deque[Message] = deque()
        self.own: deque[Message] | None = None
        self.own_is_synced = False

    def change(self, count: int) -> None:
        first, self.seq = self.seq + 1, self.seq + count
        message = told("changes", self.epoch, first, self.seq)
        self.to_all.append(message)
        if self.own is not None and self.own_is_synced:
            self.own.append(message)

    def restart(self) -> None:
        self.epoch, self.seq = f"{self.epoch}+", 0
        self.to_all.append(told("snapshot", self.epoch, None, 0))
        if self.own is not None and self.own_is_synced:
            self.own.append(told("snapshot", self.epoch, None, 0))

    def answer(self, position: Position) -> None:
        """What a new subscriber gets first."""
        assert self.own is not None
        self.own_is_synced = True
        if position.epoch != self.epoch:
            self.own.append(told("snapshot", self.epoch, None, self.seq))
        else:
            first = position.since + 1 if position.since < self.seq else None
            self.own.append(told("changes", self.epoch, first, self.seq))


class Browsing(RuleBasedStateMachine):
    """The follower, the shell around it as it is in `Hub.catch_up`, and a browser that checks what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.manager = Manager()
        self.follower = Follower(Position(topics=("state", "console")))
        self.place: tuple[str, int] | None = None
        self.starts = 0

    @rule(count=st.integers(1, 3))
    def something_changes(self, count: int) -> None:
        self.manager.change(count)

    @rule()
    def manager_restarts(self) -> None:
        self.manager.restart()

    @precondition(lambda self: self.manager.to_all)
    @rule()
    def all_hear(self) -> None:
        self.follower.hear(self.manager.to_all.popleft())

    @precondition(lambda self: self.manager.own is None and self.follower.is_behind)
    @rule()
    def it_asks(self) -> None:
        self.manager.own, self.manager.own_is_synced = deque(), False
        self.starts = self.follower.starts
        self.asked_with = Position(epoch=self.follower.position.epoch, since=self.follower.position.since)

    @precondition(lambda self: self.manager.own is not None and not self.manager.own_is_synced)
    @rule()
    def manager_answers(self) -> None:
        self.manager.answer(self.asked_with)

    @precondition(lambda self: self.manager.own is not None and self.manager.own_is_synced)
    @rule()
    def it_gives_a_sign_of_life(self) -> None:
        assert self.manager.own is not None
        self.manager.own.append(told("alive", self.manager.epoch, None, self.manager.seq))

    @precondition(lambda self: self.manager.own)
    @rule()
    def it_hears(self) -> None:
        assert self.manager.own is not None
        message = self.manager.own.popleft()
        if self.follower.starts == self.starts:
            self.follower.hear_own(message)
        if self.follower.starts != self.starts or not self.follower.is_behind:
            self.manager.own = None

    @rule()
    def it_was_too_slow(self) -> None:
        while self.follower.outbox:
            self.follower.outbox.take()
        self.follower.start_afresh()
        self.place = None

    @rule()
    def it_reads(self) -> None:
        while self.follower.outbox:
            self._read(json.loads(self.follower.outbox.take()))

    def _read(self, message: dict[str, Any]) -> None:
        if message["kind"] == "snapshot":
            self.place = message["epoch"], message["seq"]
        elif message["kind"] == "changes":
            assert self.place is not None, "the first thing is a snapshot"
            assert message["epoch"] == self.place[0]
            if message["first"] is not None:
                assert message["first"] <= self.place[1] + 1, "there is a gap"
            self.place = self.place[0], max(self.place[1], message["seq"])

    def teardown(self) -> None:
        for _ in range(10):
            while self.manager.to_all:
                self.all_hear()
            if self.follower.is_behind and self.manager.own is None:
                self.it_asks()
            if self.manager.own is not None and not self.manager.own_is_synced:
                self.manager_answers()
            if self.manager.own is not None:
                self.it_gives_a_sign_of_life()
            while self.manager.own:
                self.it_hears()
            self.it_reads()
        assert not self.follower.is_behind
        assert self.place == (self.manager.epoch, self.manager.seq)


TestBrowsing = Browsing.TestCase


def console(environment: str, end: int) -> Message:
    return Message("console", f"{environment}{end}".encode(), place=(environment, end))


def test_console_text_comes_once_also_over_the_change_of_the_environment() -> None:
    follower = Follower(Position(topics=("console",)))
    follower.hear(console("a", 10))
    follower.hear(console("a", 20))
    follower.hear(console("b", 5))
    follower.hear_own(console("a", 10))
    follower.hear_own(console("a", 15))  # cut elsewhere than what all get
    follower.hear_own(Message("alive", b"alive", epoch="life", seq=3))
    assert [follower.outbox.take() for _ in range(len(follower.outbox))] == [b"a10", b"a15", b"alive", b"a20", b"b5"]
    follower.hear(told("snapshot", "other", None, 1))  # no topic of this browser
    assert not follower.is_behind
    assert len(follower.outbox) == 0


def test_what_is_held_is_bounded_and_the_gap_is_seen() -> None:
    follower = Follower(Position(topics=("state",)))
    for seq in range(1, MAX_MESSAGES + 100):
        follower.hear(told("changes", "life", seq, seq))
    follower.hear_own(told("snapshot", "life", None, 50))
    assert follower.is_behind, "the changes from 51 on are not all held"
    follower.hear_own(told("changes", "life", 51, MAX_MESSAGES + 99))
    assert not follower.is_behind
