"""``make campaign``: plays episodes until enough faults have happened; exit status 1 when a law was broken.

Steered by the environment: ``SEED`` (default: drawn), ``FAULTS`` (300), ``SECONDS`` (no limit), ``JOBS`` (episodes at a time, 2),
``EPISODE`` (only that one), ``KEEP_GOING`` (go on after a broken law), ``STORY`` (print what was done also where all laws hold),
``WRITE`` (write the table into benchmarks/RESULTS.md).
"""

from __future__ import annotations

import datetime
import os
import secrets
import signal
import sys
from pathlib import Path

from . import episode, report
from .playing import campaign

RESULTS = Path(__file__).parents[2] / "benchmarks" / "RESULTS.md"


def main() -> int:
    """Play, print, and return the exit status."""
    wish = os.environ.get
    seed = int(wish("SEED") or secrets.randbelow(1_000_000))
    wanted, limit, jobs = int(wish("FAULTS") or 300), float(wish("SECONDS") or "inf"), int(wish("JOBS") or 2)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"Fault campaign, SEED={seed}", flush=True)
    if only := wish("EPISODE"):
        results = [episode.play(seed, int(only))]
        tell(seed, results[0], has_story=True)
    else:
        results = campaign(
            seed,
            wanted,
            limit,
            jobs=jobs,
            keep_going=bool(wish("KEEP_GOING")),
            on_end=lambda one: tell(seed, one, bool(wish("STORY"))),
        )
    text = f"SEED={seed}, {datetime.date.today().isoformat()}. {report.table(results)}"  # noqa: DTZ011
    print(f"\n{text}")
    if wish("WRITE"):
        from benchmarks.report import write_section

        write_section(RESULTS, "Fault campaign", text)
    return int(any(result.broken for result in results))


def tell(seed: int, result: episode.Result, has_story: bool) -> None:
    """Print how an episode went."""
    verdict = "A LAW IS BROKEN" if result.broken else "all laws hold"
    print(f"episode {result.number}: {result.struck.total()} faults in {result.seconds:.0f} s, {verdict}", flush=True)
    if result.broken:
        print(report.story(seed, result), flush=True)
    elif has_story:
        print("\n".join(result.story), flush=True)


if __name__ == "__main__":
    sys.exit(main())
