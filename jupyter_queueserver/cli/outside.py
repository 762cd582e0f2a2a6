"""Commands of `qserver` that work on files, with or without a manager: programs of their own, found by name when they are wanted.

Nothing of them is imported here: they open stores, which this room does not know.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

#: Word, how it is used, and its module.
_PROGRAMS = {
    "backup": ("[FILE]", "backup"),
    "restore": ("FILE [--replace | --append]", "restore"),
    "recover": ("", "recover"),
    "import": ("redis://HOST:PORT/DB", "import_old"),
}
#: Options of `qserver` that are followed by a value.
_WITH_VALUE = frozenset({"-a", "--zmq-control-addr", "--address", "--zmq-encoding", "-k", "--lock-key", "--data-dir", "--format"})


def usages() -> list[str]:
    """Return a line for each of them, for the help."""
    return [f"{word} {usage}".rstrip() for word, (usage, _) in _PROGRAMS.items()]


def run_if_meant(arguments: Sequence[str]) -> int | None:
    """Run the program that the first word names, with all other arguments; returns its exit status, None if none is meant."""
    place = _first_word(arguments)
    if place is None or arguments[place] not in _PROGRAMS:
        return None
    _, module = _PROGRAMS[arguments[place]]
    rest = [*arguments[:place], *arguments[place + 1 :]]
    try:
        return importlib.import_module(f"jupyter_queueserver.programs.{module}").main(rest)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2


def _first_word(arguments: Sequence[str]) -> int | None:
    skip = False
    for place, word in enumerate(arguments):
        if skip:
            skip = False
        elif word in _WITH_VALUE:
            skip = True
        elif not word.startswith("-"):
            return place
    return None
