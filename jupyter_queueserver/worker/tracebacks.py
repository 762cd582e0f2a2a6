"""Tracebacks as who wrote the plan wants to read them: the own lines, with what lies between them folded to one line.

Frames of bluesky, asyncio and this server are folded, but never the last one, where the exception came from.  It looks at
exceptions when a plan has failed, and never at a running plan.
"""

from __future__ import annotations

import asyncio
import concurrent
import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from types import ModuleType, TracebackType
from typing import Any

from .loader import own_frames_cut

_SERVER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Users' code that comes with the server.
_SIMULATED = os.path.join(_SERVER, "sim_profile")
#: Folders of what nobody at a beamline has written.
_INSTALLED = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})
#: Exceptions that are looked at on the way from effect to cause.
_CHAIN = 20


class _Folded(traceback.FrameSummary):
    """Stands for frames that are left out."""

    def __init__(self, count: int, names: Iterable[str]) -> None:
        super().__init__("", count, "", lookup_line=False, line="")
        whose = ", ".join(sorted(names))
        self.text = f"  [{count} {'line' if count == 1 else 'lines'} of {whose} left out]\n"


class _Stack(traceback.StackSummary):
    """Formats what is folded as one line."""

    def format_frame_summary(self, frame_summary: traceback.FrameSummary, **kwargs: Any) -> str:  # type: ignore[override]
        if isinstance(frame_summary, _Folded):
            return frame_summary.text
        return super().format_frame_summary(frame_summary, **kwargs)


def traceback_text(err: BaseException, *own: str) -> str:
    """The Python traceback of an exception and its causes, folded; its first frames are cut if they are of the files ``own``."""
    whole = traceback.TracebackException(type(err), err, own_frames_cut(err.__traceback__, *own), compact=True)
    folders = _machinery()
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [whole]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = _folded(part.stack, folders)
        waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]
    return "".join(whole.format())


def chain(err: BaseException) -> Iterator[BaseException]:
    """The exception and what caused it, as far as a traceback shows it."""
    found: BaseException | None = err
    for _ in range(_CHAIN):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def frames(err: BaseException) -> list[TracebackType]:
    """The frames of its traceback, outermost first."""
    found: list[TracebackType] = []
    entry = err.__traceback__
    while entry is not None:
        found.append(entry)
        entry = entry.tb_next
    return found


def is_users(filename: str) -> bool:
    """Whether the people who use the server wrote that file: it belongs to nothing that was installed."""
    if filename.startswith(_SIMULATED):
        return True
    folders = (_SERVER + os.sep, *_INSTALLED, *(folder for folder, _ in _machinery()))
    return not filename.startswith((*folders, "<frozen "))


def _folded(stack: traceback.StackSummary, folders: list[tuple[str, str]]) -> _Stack:
    made = _Stack()
    held: list[tuple[traceback.FrameSummary, str]] = []
    for frame in stack:
        whose = _whose(frame.filename, folders)
        if whose is not None:
            held.append((frame, whose))
            continue
        _give_up(made, held)
        made.append(frame)
    if held:
        last, _ = held.pop()
        _give_up(made, held)
        made.append(last)
    return made


def _give_up(made: _Stack, held: list[tuple[traceback.FrameSummary, str]]) -> None:
    if held:
        made.append(_Folded(len(held), {whose for _, whose in held}))
        held.clear()


def _whose(filename: str, folders: list[tuple[str, str]]) -> str | None:
    if filename.startswith(_SIMULATED):
        return None
    return next((name for folder, name in folders if filename.startswith(folder)), None)


def _machinery() -> list[tuple[str, str]]:
    """Folders of what runs plans, and whose they are."""
    found = [(_SERVER + os.sep, "the queue server"), *_folders(asyncio, "asyncio"), *_folders(concurrent, "asyncio")]
    return found + _folders(sys.modules.get("bluesky"), "bluesky")


def _folders(module: ModuleType | None, name: str) -> list[tuple[str, str]]:
    return [(os.path.abspath(path) + os.sep, name) for path in getattr(module, "__path__", ())]
