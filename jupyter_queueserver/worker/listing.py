"""``python -m jupyter_queueserver.worker.listing``: load startup code as the worker does, and list its plans and devices.

The process behind `qserver-list-plans-devices`; it opens no environment and no socket.
"""

from __future__ import annotations

import argparse
import atexit
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..link.environment import StartupSource
from ..link.lists import format_lists, save_lists
from .__main__ import end_in_time, leave, prepare_process
from .loader import Loader, StartupCodeMissing, startup_directory


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; returns the exit status: 0, or 1 with a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_queueserver.worker.listing")
    parser.add_argument("--source", required=True)
    parser.add_argument("--file", required=True, type=Path)
    parser.add_argument("--device-max-depth", type=int, default=0)
    parser.add_argument("--ignore-invalid-plans", action="store_true")
    options = parser.parse_args(arguments)
    source = msgspec.json.decode(options.source, type=StartupSource)
    codes: list[int] = []
    atexit.register(leave, codes)  # registered first, so called last
    prepare_process()
    with tempfile.TemporaryDirectory(prefix="jqs-listing-") as place:
        failure = _list(source, options, place)
    if failure is not None:
        print(failure, file=sys.stderr)
    codes.append(0 if failure is None else 1)
    end_in_time(codes[0])
    return codes[0]


def _list(source: StartupSource, options: argparse.Namespace, place: str) -> str | None:
    """Do it; returns why it failed, None if it did not."""
    from . import registration

    shell = _shell(source, place)
    registration.set_re_worker_active()
    loader = Loader(shell.user_ns, shell.transform_cell)
    try:
        if not loader.load(source):
            last = loader.files[-1]
            where = f", line {last.line}" if last.line is not None else ""
            return f"{last.traceback}\nStartup code '{last.name}'{where} failed: {last.error}"
    except StartupCodeMissing as err:
        return str(err)
    from .introspect import describe_namespace

    found = describe_namespace(
        shell.user_ns, device_max_depth=options.device_max_depth, ignore_invalid_plans=options.ignore_invalid_plans
    )
    for problem in found.problems:
        print(f"{problem.name}: {problem.text}", file=sys.stderr)
    if found.errors:
        return (
            f"{len(found.errors)} plan(s) cannot be described; nothing was written. Mend them, or add --ignore-invalid-plans ON."
        )
    try:
        save_lists(options.file, format_lists(found.plans, found.devices))
    except OSError as err:
        return f"The file {options.file} cannot be written: {err}"
    print(f"{len(found.plans)} plans and {len(found.devices)} devices are written to {options.file}.")
    return None


def _shell(source: StartupSource, place: str) -> Any:
    """An IPython shell for the namespace, so that startup code finds magics and ``get_ipython`` as in the worker."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.profiledir import ProfileDir
    from traitlets.config import Config

    class Shell(InteractiveShell):
        """Magics that want a window's event loop are heard and not obeyed: nothing is shown here."""

        def enable_gui(self, gui: str | None = None) -> None:
            """Do nothing."""

    config = Config()
    config.HistoryManager.enabled = False
    is_profile = source.kind == "profile" or source.profile is not None
    os.environ["IPYTHONDIR"] = ipython_dir = source.ipython_dir if is_profile and source.ipython_dir else place
    if not is_profile:
        return Shell.instance(config=config, ipython_dir=ipython_dir)
    name = source.value if source.kind == "profile" else source.profile or "default"
    directory = startup_directory(StartupSource(kind="profile", value=name, ipython_dir=source.ipython_dir)).parent
    return Shell.instance(config=config, ipython_dir=ipython_dir, profile_dir=ProfileDir.find_profile_dir(str(directory)))


if __name__ == "__main__":
    sys.exit(main())
