"""``python -m jupyter_queueserver.worker --environment-file <data>/environment.json``: started by the manager, never by hand.

Prepares the process (console, plotting without a display, quick imports), then hands over to the kernel.
"""

from __future__ import annotations

import argparse
import atexit
import faulthandler
import os
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from ..instance.secrecy import close_tree
from ..link.environment import EnvironmentRecord, read_environment_file

#: Seconds that the interpreter's own end may take (threads and exit handlers of users' libraries).
EXIT_LIMIT = 5.0


def main(argv: list[str] | None = None) -> int:
    """Run a worker; returns the exit code of its process."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_queueserver.worker")
    parser.add_argument("--environment-file", type=Path, required=True)
    arguments = parser.parse_args(argv)
    record = read_environment_file(arguments.environment_file)
    if record is None:
        print(f"{arguments.environment_file} does not describe an environment", file=sys.stderr)
        return 2
    codes: list[int] = []
    atexit.register(leave, codes)  # registered first, so called last
    prepare_process()
    app = make_app(record, arguments.environment_file)
    app.start()
    code = app.kernel.worker.exit_code or 0
    codes.append(code)
    end_in_time(code)
    return code


def leave(codes: list[int]) -> None:
    """All exit handlers have run: skip the taking apart of modules, which takes as long again."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    if codes:
        os._exit(codes[0])


def prepare_process() -> None:
    """Before anything heavy is imported."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable(file=2)  # the console file, whatever becomes of sys.stderr
    os.environ.setdefault("MPLBACKEND", "agg")
    # jsonschema uses it for one format ("iri") that no document has; importing it takes seconds.
    if "rfc3987_syntax" not in sys.modules:
        sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]


def make_app(record: EnvironmentRecord, environment_file: Path) -> Any:
    """The kernel application, initialized: its control channel answers from here on."""
    # A debugger would stop plans; without it the kernel also starts sooner.  Startup code may import it later.
    hidden = {name: None for name in ("debugpy",) if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        return _initialized(record, environment_file)
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def _initialized(record: EnvironmentRecord, environment_file: Path) -> Any:
    from traitlets.config import Config

    kernel = import_module(".kernel", __package__)
    source = record.startup
    if source.ipython_dir is not None:
        os.environ["IPYTHONDIR"] = source.ipython_dir
    elif source.kind != "profile" and source.profile is None:  # nothing of a user's interactive set-up belongs here
        os.environ["IPYTHONDIR"] = str(Path(record.directory) / "ipython")
    config = Config()
    config.HistoryManager.enabled = False
    app = kernel.WorkerApp.instance(
        kernel_class=kernel.WorkerKernel,
        outstream_class="jupyter_queueserver.worker.console.ConsoleStream",
        connection_file=record.connection_file,
        profile=source.value if source.kind == "profile" else source.profile or "default",
        capture_fd_output=False,
        quiet=False,
        parent_handle=0,
        config=config,
    )
    app.record = record
    app.environment_file = environment_file
    _initialize_private(app, Path(record.directory) / "ipython")
    return app


def _initialize_private(app: Any, ipython_dir: Path) -> None:
    """Make the kernel's sockets and files for this user only; what the startup code and plans write has the user's own umask."""
    before = os.umask(0o077)
    try:
        app.initialize([])
        if ipython_dir.is_dir():
            close_tree(ipython_dir)  # IPython copies a file with the mode that it has in the package
    finally:
        os.umask(before)


def end_in_time(code: int) -> None:
    """Users' libraries may leave threads that never end: the process ends all the same."""
    timer = threading.Timer(EXIT_LIMIT, os._exit, (code,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    sys.exit(main())
