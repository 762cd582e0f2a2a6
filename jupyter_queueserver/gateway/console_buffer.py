"""What the worker printed last, in two forms: as text on a terminal's screen, and as messages with uids.

Pure: it takes pieces of text and neither receives nor sends.  Both forms are bounded, by numbers and by bytes.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

#: Lines and messages that are kept.
KEPT = 2000
#: Characters of all kept lines, and of all kept messages.
_KEPT_CHARACTERS = 16 << 20
#: Characters of one line; what is longer goes on in the next.
_LINE_LIMIT = 100_000
#: Characters of a coloured line beyond which it is overwritten as a whole: taking it apart costs too much.
_COLOURED_LIMIT = 2000

#: What stands between ``ESC [`` and the end of a sequence that moves the cursor or erases; of a longer one nothing is known.
_DIGITS = r"[0-9;?]{0,32}"
_MOVING = rf"\x1b\[{_DIGITS}[AK]"
_MOVE = re.compile(_MOVING)
#: Text, or one thing that moves the cursor or erases.
_PART = re.compile(rf"\n|\r|{_MOVING}|(?:[^\n\r\x1b]|\x1b(?!\[{_DIGITS}[AK]))+")
#: What switches colours (``ESC [ ... m``) or a character set (``ESC ( B``), sets a title (``ESC ] ... BEL``), or the like.
_INNER = r"[ -/]{1,4}"
_TITLE = r"\][^\x07\x1b\n\r]{0,256}"
_ESCAPE = rf"\x1b(?:\[{_DIGITS}(?:{_INNER})?[@-~]|{_INNER}[0-~]|{_TITLE}(?:\x07|\x1b\\)|[0-Z\\^-~])"
#: The beginning of an escape sequence at the end of a piece.
_BEGUN = re.compile(rf"\x1b(?:\[{_DIGITS}(?:{_INNER})?|{_INNER}|{_TITLE}\x1b?)?\Z")
#: One that is whole, or one that is not and never will be.
_ESCAPE_OR_NONE = re.compile(rf"({_ESCAPE})|\x1b")
#: What is switched in front of the first character of a line.
_HEAD = re.compile(rf"(?:{_ESCAPE})*")
#: A character with the colours and the like that are switched behind it; a width of one.
_CELL = re.compile(rf".(?:{_ESCAPE})*+", re.DOTALL)


class Screen:
    """Lines as a terminal shows them: ``\\n``, ``\\r``, cursor up (``ESC [ A``) and erase in line (``ESC [ K``) are followed.

    Other escape sequences, such as colours, stay in the text; what only looks like the beginning of one loses its ``ESC``.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lines: deque[str] = deque([""])
        self._characters = 0
        self._up = 0  # lines from the last one up to the cursor
        self._column: int | None = None  # None: behind the last character
        self._arrived = False  # nothing was written since the cursor came to this column
        self._begun = ""

    def write(self, text: str) -> None:
        """Take a piece of text; it may begin and end anywhere, also within an escape sequence."""
        text = self._begun + text
        begun = _BEGUN.search(text)
        self._begun = begun[0] if begun else ""
        for part in _PART.findall(text[: len(text) - len(self._begun)]):
            if part == "\n":
                self._next_line()
            elif part == "\r":
                self._go_to(0)
            elif not _MOVE.fullmatch(part):
                self._put(_ESCAPE_OR_NONE.sub(r"\1", part) if "\x1b" in part else part)
            elif part[-1] == "A":
                self._move_up(_number(part))
            else:
                self._erase(_number(part, missing=0))

    def text(self, lines: int) -> str:
        """Return the last lines, joined, without a newline at the end; 0 or less: nothing."""
        if lines <= 0:
            return ""
        shown = list(self._lines)
        if shown and not shown[-1]:
            shown.pop()  # the cursor stands at the begin of a line that is not there yet
        return "\n".join(shown[-lines:])

    def _go_to(self, column: int) -> None:
        self._column, self._arrived = column, True

    def _next_line(self) -> None:
        self._go_to(0)
        if self._up:
            self._up -= 1
            return
        self._lines.append("")
        self._characters += 1
        while len(self._lines) > self._kept + 1 or (self._characters > _KEPT_CHARACTERS and len(self._lines) > 1):
            self._characters -= len(self._lines.popleft()) + 1

    def _move_up(self, count: int) -> None:
        self._go_to(_width(self._line) if self._column is None else self._column)
        self._up = min(self._up + max(1, count), len(self._lines) - 1)

    @property
    def _line(self) -> str:
        return self._lines[-1 - self._up]

    @_line.setter
    def _line(self, line: str) -> None:
        self._characters += len(line) - len(self._line)
        self._lines[-1 - self._up] = line

    def _erase(self, mode: int) -> None:
        """Erase from the cursor to the end of the line (0), to its begin (1), or the whole line (2)."""
        head, cells = _taken_apart(self._line)
        column = len(cells) if self._column is None else self._column
        if mode == 0:
            self._line = "".join([self._kept_head(head), *cells[:column]])
        else:
            self._line = " " * column + ("".join(cells[column:]) if mode == 1 else "")
        self._column = column

    def _kept_head(self, head: str) -> str:
        """What is switched in front of a line belongs to its first character, and goes with it."""
        return "" if self._column == 0 and self._arrived else head

    def _put(self, text: str) -> None:
        while text:
            if self._column == 0 and not self._line:
                self._column = None
            if self._column is None:
                room = _LINE_LIMIT - len(self._line)
                self._line += text[:room]
                text = text[room:]
                if text:
                    self._next_line()
            else:
                self._overwrite(text[:_LINE_LIMIT])
                text = text[_LINE_LIMIT:]

    def _overwrite(self, text: str) -> None:
        column, line = self._column or 0, self._line
        if "\x1b" not in line and "\x1b" not in text:
            end = column + len(text)
            self._line = line[:column].ljust(column) + text + line[end:]
            self._column = end if end < len(line) else None
        elif len(line) > _COLOURED_LIMIT:
            self._line, self._column = text, None
        else:
            self._overwrite_coloured(column, text)
        self._arrived = False

    def _overwrite_coloured(self, column: int, text: str) -> None:
        """What is switched between two characters stays with the one that was written before it."""
        head, cells = _taken_apart(self._line)
        switched, written = _taken_apart(text)
        cells.extend(" " * (column - len(cells)))
        if column:
            cells[column - 1] += switched
        else:
            head = self._kept_head(head) + switched
        end = column + len(written)
        cells[column:end] = written
        self._line = "".join([head, *cells])
        self._column = end if end < len(cells) else None


def _taken_apart(line: str) -> tuple[str, list[str]]:
    """What is switched in front of the first character; the characters, each with what is switched behind it."""
    if "\x1b" not in line:
        return "", list(line)
    found = _HEAD.match(line)
    head = found[0] if found else ""
    return head, _CELL.findall(line, len(head))


def _width(line: str) -> int:
    return len(_taken_apart(line)[1]) if "\x1b" in line and len(line) <= _COLOURED_LIMIT else len(line)


def _number(sequence: str, missing: int = 1) -> int:
    digits = sequence[2:-1]
    return min(int(digits), KEPT) if digits.isdigit() and len(digits) < 9 else missing


class Printed(NamedTuple):
    """A message: Unix time in seconds, and text."""

    time: float
    msg: str


class MessageLog:
    """The last messages, each with a uid.

    Parameters
    ----------
    life
        Identity of this log; the uids of another one are unknown here.
    """

    def __init__(self, life: str, kept: int = KEPT) -> None:
        self._life = life
        self._kept = kept
        self._messages: deque[Printed] = deque()
        self._count = 0
        self._characters = 0

    @property
    def uid(self) -> str:
        """Of the newest message; also there before the first one."""
        return f"{self._life}-{self._count}"

    def add(self, message: Printed) -> None:
        """Keep a message."""
        self._count += 1
        self._messages.append(message)
        self._characters += len(message.msg)
        while len(self._messages) > self._kept or self._characters > _KEPT_CHARACTERS:
            self._characters -= len(self._messages.popleft().msg)

    def since(self, uid: object) -> list[Printed]:
        """Return what came after that uid; ``"ALL"``: all that is kept, unknown: nothing.

        After a message that is not kept any more come all that are.
        """
        if uid == "ALL":
            return list(self._messages)
        if not isinstance(uid, str):
            return []
        life, _, number = uid.rpartition("-")
        if life != self._life or not (number.isascii() and number.isdigit()) or len(number) > 18:
            return []
        missing = self._count - int(number)
        return [] if missing <= 0 else list(self._messages)[-missing:]
