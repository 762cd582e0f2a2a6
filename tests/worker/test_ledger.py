"""The ledger: no uid twice, one item at a time, every step written before it counts."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.link.messages import Allowed
from jupyter_queueserver.worker import ledger as ledger_module
from jupyter_queueserver.worker.ledger import AcceptedItem, AcceptedTask, Ledger, read_ledger


def item(uid: str) -> AcceptedItem:
    return AcceptedItem(uid, "{}", Allowed(), 1)


def _tell() -> None:
    """A report that it has ended."""


def test_an_end_is_told_before_it_is_noted_and_nothing_is_accepted_in_between(tmp_path: Path) -> None:
    path = tmp_path / "accepted.log"
    ledger = Ledger(path)
    ledger.accept(item("a"))
    ledger.take()
    accepted: list[bool] = []
    other = threading.Thread(target=lambda: accepted.append(ledger.accept(item("b"))))

    def tell() -> None:
        assert read_ledger(path)["a"] == "taken"
        other.start()  # the manager has read the report, and hands the next one over
        assert not ledger.accepted

    ledger.end(tell)
    other.join()
    assert accepted == [True]
    assert (read_ledger(path)["a"], ledger.accepted) == ("ended", "b")
    ledger.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.sampled_from("abcd")),
        st.tuples(st.just("withdraw"), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(["take", "end"]), st.none()),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(steps)
def test_no_item_is_taken_twice_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None]]
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "accepted.log"
    ledger = Ledger(path)
    taken: list[str] = []
    withdrawn: set[str] = set()
    for step, uid in steps:
        if step == "accept":
            known = ledger.fate(str(uid)) is not None
            free = ledger.is_free
            assert ledger.accept(item(str(uid))) == (free and not known)
        elif step == "withdraw":
            waiting = ledger.accepted == uid
            assert ledger.withdraw(str(uid)) == waiting
            withdrawn |= {str(uid)} if waiting else set()
        elif step == "take":
            found = ledger.take()
            taken += [found.uid] if found else []
        else:
            ledger.end(_tell)
        assert ledger.accepted is None or ledger.running is None
    ledger.close()
    assert len(taken) == len(set(taken))
    assert not withdrawn & set(taken)
    fates = read_ledger(path)
    assert {uid for uid, fate in fates.items() if fate in ("taken", "ended")} == set(taken)
    assert all(ledger.fate(uid) == fate for uid, fate in fates.items())


def _attempt(attempt: Callable[[], object], wins: list[object]) -> None:
    if attempt():
        wins.append(attempt)


def test_threads_cannot_both_win(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "accepted.log")
    for turn in range(50):
        wins: list[object] = []
        ledger.accept(item(f"i{turn}"))
        attempts = [ledger.take, partial(ledger.withdraw, f"i{turn}"), ledger.take]
        threads = [threading.Thread(target=_attempt, args=(attempt, wins)) for attempt in attempts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(wins) == 1
        ledger.end(_tell)
    ledger.close()


def test_what_cannot_be_written_is_not_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "accepted.log")

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ledger_module.os, "write", full)
        with pytest.raises(OSError, match="No space"):
            ledger.accept(item("a"))
    assert ledger.is_free
    assert ledger.accept(item("a"))
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module.os, "write", full)
        with pytest.raises(OSError, match="No space"):  # else it would seem after the worker's death that it had not begun
            ledger.take()
        assert (ledger.running, ledger.accepted) == ("a", None)
        ledger.end(_tell)  # what has begun ends, whatever the disk takes
    assert ledger.is_free
    ledger.close()


def test_a_torn_last_line_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "accepted.log"
    assert read_ledger(path) == {}
    ledger = Ledger(path)
    ledger.accept(item("a"))
    ledger.close()
    path.write_bytes(path.read_bytes() + b'{"uid":"b","fa')
    assert read_ledger(path) == {"a": "accepted"}


def task(uid: str, background: bool) -> AcceptedTask:
    return AcceptedTask(uid, "script", background, "{}", 1)


mixed_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["accept", "accept_task", "accept_background"]), st.sampled_from("abcdef")),
        st.tuples(st.sampled_from(["take", "end", "take_task", "end_task", "end_background"]), st.none()),
    ),
    max_size=40,
)


@settings(deadline=None)
@given(mixed_steps)
def test_items_and_foreground_tasks_have_the_main_thread_one_at_a_time(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None]]
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "accepted.log"
    ledger = Ledger(path)
    begun: list[str] = []
    foreground: AcceptedTask | None = None
    waiting: AcceptedTask | None = None
    background: list[AcceptedTask] = []
    for step, given_uid in steps:
        uid = str(given_uid)
        if step == "accept":
            possible = ledger.is_free and ledger.fate(uid) is None
            assert ledger.accept(item(uid)) == possible
        elif step == "accept_task":
            possible = ledger.is_free and ledger.fate(uid) is None
            assert ledger.accept_task(task(uid, False)) == possible
            waiting = task(uid, False) if possible else waiting
        elif step == "accept_background":
            possible = ledger.fate(uid) is None
            assert ledger.accept_task(task(uid, True)) == possible
            if possible:
                background.append(task(uid, True))
                ledger.take_background(background[-1])
                begun.append(uid)
        elif step == "take" and (taken := ledger.take()):
            begun.append(taken.uid)
        elif step == "end":
            ledger.end(_tell)
        elif step == "take_task":
            found = ledger.take_task()
            assert found == waiting
            begun += [found.uid] if found else []
            foreground, waiting = found or foreground, None
        elif step == "end_task" and foreground:
            ledger.end_task(foreground, _tell)
            foreground = None
        elif step == "end_background" and background:
            ledger.end_task(background.pop(), _tell)
        in_hand = [each for each in (ledger.accepted, ledger.running, ledger.foreground) if each is not None]
        assert len(in_hand) <= 1
        assert ledger.is_free == (not in_hand)
        assert len(ledger.tasks) == len(background) + sum(each is not None for each in (foreground, waiting))
    ledger.close()
    assert len(begun) == len(set(begun))
    assert {uid for uid, fate in read_ledger(path).items() if fate in ("taken", "ended")} == set(begun)
