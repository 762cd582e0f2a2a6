"""``make campaign``: plays episodes until enough faults have happened; exit status 1 when a law was broken.

Steered by the environment: ``SEED`` (default: drawn), ``FAULTS`` (300), ``SECONDS`` (no limit), ``JOBS`` (episodes at a time, 2),
``EPISODE`` (only that one), ``KEEP_GOING`` (go on after a broken law), ``STORY`` (print what was done also where all laws hold),
``WRITE`` (write the table into benchmarks/RESULTS.md).
"""

from __future__ import annotations

import contextlib
import datetime
import multiprocessing
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from . import episode, report

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


def campaign(
    seed: int,
    wanted: int,
    limit: float = float("inf"),
    *,
    jobs: int = 1,
    keep_going: bool = False,
    on_end: Callable[[episode.Result], None] = lambda result: None,
) -> list[episode.Result]:
    """Play episodes until that many faults have happened, or that many seconds are over.

    Parameters
    ----------
    jobs
        How many episodes are played at a time.
    keep_going
        Whether to go on after a broken law.
    on_end
        Called with the result of each episode.
    """
    deadline, number, results = time.monotonic() + limit, 0, list[episode.Result]()
    playing: set[Future[episode.Result]] = set()
    with _players(jobs) as pool:
        while True:
            struck = sum(result.struck.total() for result in results) + len(playing) * episode.FAULTS
            is_over = struck >= wanted or time.monotonic() > deadline
            is_over = is_over or (not keep_going and any(result.broken for result in results))
            if not is_over and len(playing) < jobs:
                playing.add(pool.submit(episode.play, seed, number, episode.FAULTS, deadline))
                number += 1
                continue
            if not playing:
                return results
            done, playing = wait(playing, return_when=FIRST_COMPLETED)
            for future in done:
                results.append(future.result())
                on_end(results[-1])


@contextlib.contextmanager
def _players(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that play; an end before the time ends their episodes too, so that nothing is left behind."""
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_heed_end)
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _heed_end() -> None:
    """In a process that plays: the first signal ends it, with what it has started; further ones are not heard."""

    def end(number: int, frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end)


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
