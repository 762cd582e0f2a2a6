"""Console text as lines and as messages, without any server."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_queueserver.gateway.console_buffer import KEPT, MessageLog, Printed, Screen

SHOWN = [
    ("a\nb\n", "a\nb"),
    ("a\r\nb", "a\nb"),
    ("10%\r20%\r100%\n", "100%"),
    ("long line\rsho", "shog line"),
    ("one\ntwo\n\x1b[Aup", "one\nupo"),
    ("one\ntwo\n\x1b[A\r2nd\nnext", "one\n2nd\nnext"),
    ("one\ntwo\nthree\n\x1b[2A\rX", "one\nXwo\nthree"),
    ("one\n\x1b[99A\rX", "Xne"),
    ("first bar\nsecond bar\x1b[A\rFIRST", "FIRST bar\nsecond bar"),
    ("abcdef\rxy\x1b[K", "xy"),
    ("abcdef\x1b[2K\rxy", "xy    "),
    ("\x1b[31mred\x1b[0m\rbl", "bl\x1b[0m".replace("\x1b[0m", "d\x1b[0m")),
    ("\x1b[31mred\x1b[0m\r\x1b[32mb", "\x1b[32med\x1b[0m".replace("\x1b[32me", "\x1b[32mbe")),
    ("10 %\r\x1b[32m20\x1b[0m", "\x1b[32m20\x1b[0m %"),
    ("\x1b[31mred\x1b[0m\r\x1b[Kx", "x"),
    ("10 %\r\x1b(B20\x1b]0;title\x07\x1b7", "\x1b(B20\x1b]0;title\x07\x1b7 %"),
    ("a\x1b\nb\x1b[\nc", "a\nb[\nc"),
    ("\x1b[1mbold\x1b[0m\n", "\x1b[1mbold\x1b[0m"),
    ("a\n\n\n", "a\n\n"),
    ("", ""),
]


@pytest.mark.parametrize(("written", "shown"), SHOWN, ids=[repr(written) for written, _ in SHOWN])
def test_lines_are_those_of_a_terminal(written: str, shown: str) -> None:
    screen = Screen()
    screen.write(written)
    assert screen.text(100) == shown
    in_pieces = Screen()
    for character in written:
        in_pieces.write(character)
    assert in_pieces.text(100) == shown


@example(["2", "\x1b[", "[A"])
@example(["22\r2", "\x1b[["])
@example(["2", "\x1b[", " ", "q\rx"])
@example(["22A\r\x1b[", "\x1b", "2"])
@given(st.lists(st.text(alphabet="ab\n\r\x1b\x07\\][AK2m; ", max_size=12), max_size=8))
def test_where_a_piece_ends_makes_no_difference(pieces: list[str]) -> None:
    whole, parts = Screen(), Screen()
    whole.write("".join(pieces))
    for piece in pieces:
        parts.write(piece)
    assert parts.text(KEPT) == whole.text(KEPT)


def test_lines_are_bounded() -> None:
    screen = Screen(kept=3)
    for number in range(10):
        screen.write(f"line {number}\n")
    assert screen.text(100) == "line 7\nline 8\nline 9"
    assert screen.text(2) == "line 8\nline 9"
    assert screen.text(0) == screen.text(-1) == ""
    screen.write("x" * 250_000)
    assert max(map(len, screen.text(100).split("\n"))) == 100_000


def test_messages_since_a_uid() -> None:
    log = MessageLog("life", kept=3)
    start = log.uid
    assert log.since("ALL") == []
    uids = []
    for number in range(5):
        log.add(Printed(float(number), f"text {number}"))
        uids.append(log.uid)
    assert [message.msg for message in log.since("ALL")] == ["text 2", "text 3", "text 4"]
    assert [message.msg for message in log.since(uids[3])] == ["text 4"]
    assert log.since(uids[4]) == []
    assert len(log.since(uids[0])) == len(log.since(start)) == 3
    for unknown in ("", None, 3, [], {}, "other-4", "life-", "life-x", "life-99", "life-" + "9" * 50, "life-\u0663"):
        assert log.since(unknown) == [], unknown
