"""Completion of commands in the shell: which words may come next, from the declarations, handed to `argcomplete`.

Asks no manager: uids of items and names of plans are not offered.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from .commands import MONITOR, commands, find_command
from .shapes import usage_of

if TYPE_CHECKING:
    from argcomplete.completers import BaseCompleter

Shell = Literal["bash", "zsh"]
SHELLS: tuple[Shell, ...] = ("bash", "zsh")
FILE = "<file>"

#: Set by the shell's completion function when it asks this program.
_ASKED = "_ARGCOMPLETE"
#: One group of a usage line: what stands in brackets, or one place.
_PART = re.compile(r"\[[^\]]*\](?:\.\.\.)?|\S+")


def is_asked() -> bool:
    """Whether the shell asks for completions instead of running a command."""
    return _ASKED in os.environ


def words_so_far() -> list[str]:
    """Return the words that stand in the line which is to be completed, also an unfinished quotation."""
    return os.environ.get("COMP_LINE", "").split()


def script(shell: Shell) -> str:
    """Return the lines that the shell has to read once."""
    from argcomplete.shell_integration import shellcode

    return shellcode(["qserver"], shell=shell)


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process."""
    import argcomplete

    completer = cast("BaseCompleter", _complete)  # any callable will do
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=completer)


def _complete(prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: object) -> list[str]:
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    if action.dest == "data_dir":
        return list(DirectoriesCompleter()(prefix))
    following = next_words(parsed_args.words or []) if action.dest == "words" else []
    files = list(FilesCompleter()(prefix)) if FILE in following else []
    return [word for word in following if word != FILE] + files


def next_words(words: Sequence[str]) -> list[str]:
    """Return the words that may come next, sorted; `FILE` where the name of a file is expected."""
    given = list(words)
    names = [name.split() for name in (*commands(), MONITOR)]
    found = {name[len(given)] for name in names if len(name) > len(given) and name[: len(given)] == given}
    if command := find_command(given):
        rest = given[len(command.words.split()) :]
        for line in usage_of(command):
            found |= _following([_group(part) for part in _PART.findall(line)], rest)
    return sorted(found)


class _Group(NamedTuple):
    """Neighbouring places of a usage line: what may stand at each, whether they may be left out or come again."""

    places: list[list[str]]
    optional: bool
    repeated: bool

    def takes(self, words: Sequence[str]) -> bool:
        """Whether the words may stand at the first places."""
        pairs = zip(self.places, words, strict=False)
        return all(word in place or any(each.startswith("<") for each in place) for place, word in pairs)


def _group(part: str) -> _Group:
    places = [text.split("|") for text in part.removesuffix("...").strip("[]").split()]
    return _Group(places, part.startswith("["), part.endswith("..."))


def _following(groups: Sequence[_Group], words: Sequence[str]) -> set[str]:
    """Return the words that may follow the given ones in a usage line."""
    if not groups:
        return set()
    group, rest = groups[0], groups[1:]
    found = _following(rest, words) if group.optional else set()
    if not group.takes(words):
        return found
    if len(words) < len(group.places):
        return found | {word for word in group.places[len(words)] if word == FILE or not word.startswith("<")}
    behind = words[len(group.places) :]
    return found | _following(rest, behind) | (_following(groups, behind) if group.repeated else set())
