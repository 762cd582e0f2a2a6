"""`qserver-list-plans-devices`: load startup code and write the file with its plans and devices.

Reads options only; the startup code is loaded by a process of its own, as in the worker of a server.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..link.environment import StartupSource
from ..manager.settings import SettingsError
from ..manager.startup_source import PLANS_FILE, resolve_source

DONE, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0, or 1 if the code cannot be loaded or the file not be written."""
    options = vars(make_parser().parse_args(arguments))
    options["use_ipython_kernel"] = options["use_ipython_kernel"] == "ON"
    directory = Path(options["file_dir"]).expanduser().absolute()
    try:
        if not directory.is_dir():
            raise SettingsError(f"The directory {directory} (--file-dir) does not exist.")
        found = resolve_source(options, os.environ)
        if found is None:
            raise SettingsError(
                "No startup code is named: use one of --startup-dir, --startup-module, --startup-script, --startup-profile."
            )
    except SettingsError as err:
        print(f"qserver-list-plans-devices: {err}", file=sys.stderr)
        return FAILED
    source = StartupSource(
        kind=found["startup_kind"], value=found["startup"], ipython_dir=found["ipython_dir"], profile=found["startup_profile"]
    )
    return _run(source, directory / options["file_name"], options)


def _run(source: StartupSource, file: Path, options: dict[str, object]) -> int:
    command = [sys.executable, "-P", "-m", "jupyter_queueserver.worker.listing"]
    command += ["--source", msgspec.json.encode(source).decode(), "--file", str(file)]
    command += ["--device-max-depth", str(options["device_max_depth"])]
    if options["ignore_invalid_plans"] == "ON":
        command.append("--ignore-invalid-plans")
    status = subprocess.run(command, check=False).returncode  # noqa: S603 - the worker, by a list of words
    return DONE if status == 0 else FAILED


def make_parser() -> argparse.ArgumentParser:
    """Return the parser."""
    parser = argparse.ArgumentParser(
        prog="qserver-list-plans-devices",
        allow_abbrev=False,
        description="Load startup code and write the file with its plans and devices. An existing file is overwritten.",
    )
    parser.add_argument("--file-dir", metavar="DIR", default=".", help="directory of the file (the current one)")
    parser.add_argument("--file-name", metavar="NAME", default=PLANS_FILE, help=f"name of the file ({PLANS_FILE})")
    sources = parser.add_mutually_exclusive_group()
    sources.add_argument("--startup-dir", metavar="DIR", help="directory with startup files")
    sources.add_argument("--startup-module", metavar="NAME", help="importable module with startup code")
    sources.add_argument("--startup-script", metavar="FILE", help="script with startup code")
    parser.add_argument("--startup-profile", metavar="NAME", help="IPython profile whose startup directory is used")
    parser.add_argument("--ipython-dir", metavar="DIR", help="root of IPython profiles")
    parser.add_argument(
        "--use-ipython-kernel", choices=("ON", "OFF"), default="OFF", help="load as a server with that option does (OFF)"
    )
    parser.add_argument(
        "--ignore-invalid-plans", choices=("ON", "OFF"), default="OFF", help="leave out plans that cannot be described (OFF)"
    )
    parser.add_argument("--device-max-depth", metavar="N", type=_depth, default=0, help="levels of sub-devices, 0: all (0)")
    return parser


def _depth(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number
