"""Loads startup code into the namespace, file by file, and tells for each how it went; runs later scripts in the same way.

Code runs as it would when typed: in the namespace of the kernel, in the main thread, with its own file name and lines in
tracebacks.  Loading stops at the first file that fails.
"""

from __future__ import annotations

import importlib
import linecache
import os
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any

from ..core.reports import StartupFile
from ..link.environment import StartupSource
from .forks import parent_only

_OWN_FILE = __file__
#: Scripts whose lines tracebacks can still show.
_SCRIPTS_KEPT = 100


class StartupCodeMissing(Exception):
    """The startup source names nothing that could be loaded; the text says what."""


def startup_files(source: StartupSource) -> list[Path]:
    """Files of a source in loading order; raises `StartupCodeMissing`."""
    if source.kind == "script":
        path = Path(source.value).expanduser()
        if not path.is_file():
            raise StartupCodeMissing(f"Startup script '{path}' does not exist.")
        return [path]
    directory = startup_directory(source)
    if not directory.is_dir():
        raise StartupCodeMissing(f"Startup directory '{directory}' does not exist.")
    found = [path for path in directory.iterdir() if path.suffix in (".py", ".ipy") and path.is_file()]
    return sorted(found, key=lambda path: path.name)


def startup_directory(source: StartupSource) -> Path:
    """Directory that holds the files of a source (for a script: its own)."""
    if source.kind == "profile":
        base = Path(source.ipython_dir).expanduser() if source.ipython_dir else Path.home() / ".ipython"
        return base / f"profile_{source.value}" / "startup"
    path = Path(source.value).expanduser()
    return path.parent if source.kind == "script" else path


class Loader:
    """Runs startup code in a namespace.

    Parameters
    ----------
    namespace
        The kernel's ``user_ns``.
    transform
        IPython's transformation of magics and the like, text to text.
    tell
        Called before each startup file (or module) with its name, its number from 1, and how many there are.
    """

    def __init__(
        self,
        namespace: dict[str, Any],
        transform: Callable[[str], str],
        tell: Callable[[str, int, int], object] = lambda name, number, count: None,
    ) -> None:
        self._namespace = namespace
        self._transform = transform
        self._tell = tell
        self.files: list[StartupFile] = []
        self._scripts: deque[str] = deque()

    def load(self, source: StartupSource) -> bool:
        """Load it all; False when a file failed (the last of `files` says why).  Raises `StartupCodeMissing`."""
        if source.profile is not None:
            first = StartupSource(kind="profile", value=source.profile, ipython_dir=source.ipython_dir)
            if not self.load(first):
                return False
        if source.kind == "module":
            self._tell(source.value, 1, 1)
            return self._timed(source.value, lambda: self._take_module(source.value))
        files = startup_files(source)
        directory = str(startup_directory(source).resolve())
        if directory not in sys.path:
            sys.path.insert(0, directory)
        for number, path in enumerate(files, start=1):
            self._tell(path.name, number, len(files))
            if not self._timed(path.name, lambda path=path: self._run_file(path.resolve())):
                return False
        return True

    def _run_file(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        # Tracebacks show the lines that run, also when the file is edited later.
        linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
        self._namespace["__file__"] = str(path)
        try:
            self._run_text(text, str(path), ipython=path.suffix == ".ipy")
        finally:
            self._namespace.pop("__file__", None)

    def run_script(self, text: str, name: str) -> None:
        """Run code that is no file; tracebacks show its lines under that name.  Raises what it raises."""
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        self._scripts.append(name)
        if len(self._scripts) > _SCRIPTS_KEPT:
            linecache.cache.pop(self._scripts.popleft(), None)
        self._run_text(text, name)

    def _run_text(self, text: str, name: str, *, ipython: bool = False) -> None:
        exec(self._compile(text, name, ipython), self._namespace)  # noqa: S102 - running users' code is what this is for

    def _compile(self, text: str, name: str, ipython: bool) -> CodeType:
        if ipython:
            return compile(self._transform(text), name, "exec", dont_inherit=True)
        try:
            return compile(text, name, "exec", dont_inherit=True)
        except SyntaxError as err:
            transformed = self._transform(text)  # lines with magics are no Python
            if transformed == text:
                raise
            try:
                return compile(transformed, name, "exec", dont_inherit=True)
            except SyntaxError:
                raise err from None

    def _take_module(self, name: str) -> None:
        module = importlib.import_module(name)
        public = getattr(module, "__all__", None) or [key for key in vars(module) if not key.startswith("_")]
        self._namespace.update({key: getattr(module, key) for key in public})

    def _timed(self, name: str, run: Callable[[], None]) -> bool:
        before = set(self._namespace)
        began = time.perf_counter()
        failure: dict[str, Any] = {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            try:
                with parent_only:
                    run()
            except (Exception, SystemExit, KeyboardInterrupt) as err:  # noqa: BLE001 - users' code: reported as it is
                failure = describe_failure(err)
        for warning in caught:
            print(warnings.formatwarning(warning.message, warning.category, warning.filename, warning.lineno), end="")
        self.files.append(
            StartupFile(
                name=name,
                seconds=time.perf_counter() - began,
                names=tuple(sorted(set(self._namespace) - before)),
                warnings=tuple(f"{warning.category.__name__}: {warning.message}" for warning in caught),
                **failure,
            )
        )
        return not failure


def describe_failure(err: BaseException) -> dict[str, Any]:
    """``error``, ``line`` and ``traceback`` of an exception that left startup code."""
    frames = own_frames_cut(err.__traceback__, _OWN_FILE)
    line = getattr(err, "lineno", None) if isinstance(err, SyntaxError) else None
    if line is None and frames is not None and not isinstance(err, UnicodeDecodeError):  # that is raised by the reading
        line = frames.tb_lineno
    text = "".join(traceback.format_exception(type(err), err, frames))
    return {"error": f"{type(err).__name__}: {err}", "line": line, "traceback": text}


def own_frames_cut(frames: TracebackType | None, *own: str) -> TracebackType | None:
    """Drop the first frames while they belong to the files ``own`` (or to the import machinery)."""
    while frames is not None:
        name = frames.tb_frame.f_code.co_filename
        if name not in own and not name.startswith("<frozen importlib") and os.path.dirname(name) != _IMPORTLIB:
            break
        frames = frames.tb_next
    return frames


_IMPORTLIB = os.path.dirname(importlib.__file__)
