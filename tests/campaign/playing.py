"""Episodes one after another, or several at a time, each in a process that ends with all that it has started."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from . import episode


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
