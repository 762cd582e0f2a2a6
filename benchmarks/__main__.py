"""``python -m benchmarks``: measure, print, and with ``--write`` replace RESULTS.md.

The exit status is 0 also where a reach is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .bench import Bench
from .figures import Figure, RowResult
from .report import terminal_text, write
from .rows import ROWS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(words)
    names = options.only or list(ROWS)
    results: list[RowResult] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended then too
    with Bench(quick=options.quick, old_python=options.old_server) as bench:
        for name in names:
            result = timed(name, ROWS[name], bench)
            print(terminal_text(result), flush=True)
            results.append(result)
    if options.write:
        said = ["PYTHON" if word == str(options.old_server) else word for word in words]
        write(Path(__file__).with_name("RESULTS.md"), results, said, options.old_server is not None)
    return 0


def timed(name: str, measure: Callable[[Bench], list[Figure]], bench: Bench) -> RowResult:
    """Measure one row."""
    load, began = os.getloadavg()[0], time.monotonic()
    figures = measure(bench)
    return RowResult(name, (load, os.getloadavg()[0]), time.monotonic() - began, figures)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--only", metavar="NAME", action="append", choices=list(ROWS), help=f"a row: {', '.join(ROWS)}; repeatable")
    made.add_argument("--quick", action="store_true", help="fewer repetitions")
    made.add_argument("--write", action="store_true", help="replace benchmarks/RESULTS.md")
    made.add_argument(
        "--old-server",
        metavar="PYTHON",
        type=Path,
        help="Python of an environment with bluesky-queueserver 0.0.25; measured too, with redis-server from the PATH",
    )
    return made


if __name__ == "__main__":
    sys.exit(main())
