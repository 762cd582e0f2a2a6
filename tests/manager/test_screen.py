"""What `start-re-manager` prints: never held up, never lost without a word, and followed from the right place."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

from jupyter_queueserver.manager.logtail import LogTail
from jupyter_queueserver.manager.screen import Screen, Voice


class HeldUp(io.StringIO):
    """A terminal that is stopped until somebody lets it go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reached = threading.Event()
        self.go = threading.Event()

    def write(self, text: str, /) -> int:
        self.is_reached.set()
        assert self.go.wait(10)
        return super().write(text)


def test_terminal_that_is_held_up_holds_up_nobody() -> None:
    stream = HeldUp()
    screen = Screen(stream)
    screen.show("first\n")
    assert stream.is_reached.wait(10)
    for number in range(1000):
        screen.show(f"{number}\n")
    stream.go.set()
    screen.close(limit=10)
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["first", "0", "1"]
    assert len(lines) < 1000
    screen = Screen(stream)
    screen.show("last\n")
    screen.close(limit=10)
    assert stream.getvalue().endswith("last\n")


def test_what_is_left_out_is_counted() -> None:
    stream = HeldUp()
    screen = Screen(stream)
    for _ in range(400):
        screen.show("x" * 10)
    stream.go.set()
    deadline, pause = time.monotonic() + 60, threading.Event()
    while not screen._pieces.empty():
        assert time.monotonic() < deadline
        pause.wait(0.005)
    screen.show("end")
    screen.close(limit=10)
    shown, _, rest = stream.getvalue().partition("\n[")
    assert set(shown) == {"x"}
    assert rest == f"{4000 - len(shown)} characters were left out: the output was held up]\nend"


def test_closed_stream_is_no_fault() -> None:
    stream = io.StringIO()
    stream.close()
    screen = Screen(stream)
    screen.show("nobody reads this")
    screen.close(limit=10)


def test_own_lines_are_logged(tmp_path: Path) -> None:
    stream = io.StringIO()
    voice = Voice(stream, tmp_path / "watchdog.log")
    voice.say("The manager is ready.")
    voice.show("output of the manager\n")
    voice.close()
    line, rest = stream.getvalue().split("\n", 1)
    assert line.endswith(" watchdog: The manager is ready.")
    assert rest == "output of the manager\n"
    assert (tmp_path / "watchdog.log").read_text() == f"{line}\n"


def test_tail_from_an_offset_with_holes_and_broken_characters(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"old" + b"\0" * 200_000)
    tail = LogTail(path, 3)
    with path.open("ab") as file:
        file.write("new µ".encode()[:-1])
    assert tail.new_text() == "new "
    with path.open("ab") as file:
        file.write("µ".encode()[1:] + b"\n")
    assert tail.new_text() == "µ\n"
    assert tail.new_text() == ""
    assert LogTail(tmp_path / "none").new_text() == ""
    assert LogTail(path).new_text() == ""
