"""The last words of a worker that crashed: what Python's faulthandler wrote at the end of the console file, as a sentence.

Reads one file; a worker that ended without a word has none.
"""

from __future__ import annotations

import re
from pathlib import Path

from .console import ConsoleReader

#: Bytes at the end of the console text in which they are looked for: all threads may be listed behind them.
_TAIL = 64 * 1024
#: Places in the code that are named, innermost first.
_PLACES = 3

_FATAL = re.compile(r"^Fatal Python error: (?P<what>.+)$", re.MULTILINE)
_CURRENT = re.compile(r"^Current thread .*\n(?P<frames>(?:  File .*\n)*)", re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<name>.*)$', re.MULTILINE)


def last_words(console: Path) -> str:
    """Return what the crash was, where, and where more of it stands; empty if the text does not end with a crash."""
    reader = ConsoleReader(console)
    try:
        size = reader.size
        text = reader.read(max(0, size - _TAIL), _TAIL)[1].decode(errors="replace")
    except OSError:
        return ""
    crashes = list(_FATAL.finditer(text))
    if not crashes:
        return ""
    what = crashes[-1]["what"].strip()
    current = _CURRENT.search(text, crashes[-1].end())
    frames = list(_FRAME.finditer(current["frames"]))[:_PLACES] if current is not None else []
    places = ", ".join(f"{frame['name']} ({frame['file']}, line {frame['line']})" for frame in frames)
    where = f" in {places}" if places else ""
    return f"Its last words: {what}{where}; the whole is at the end of {console}."


def explained(reason: str, console: Path) -> str:
    """Return the reason of a death with the last words behind it."""
    words = last_words(console)
    return f"{reason} {words}" if words else reason
