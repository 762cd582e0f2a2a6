"""One episode: a fresh instance, some faults with operations around them, an orderly end; the laws are checked after each.

Everything random comes from the seed and the number of the episode, so that one alone can be played again.
"""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from harness import until

from . import faults, laws, operations
from .driver import Driver
from .listener import Ending
from .traces import read_journal
from .world import PATIENCE, Broken, World

#: Faults of an episode: few, so that a broken law has a short story.
FAULTS = 8


@dataclass
class Result:
    """What came of an episode.

    Attributes
    ----------
    struck, missed
        Faults by kind that happened, and that never came to their moment.
    broken
        What law was broken and how; empty: none.
    story
        Everything that was done, with seconds since its beginning.
    place
        The directory of the instance, kept if a law was broken.
    """

    number: int
    struck: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    checks: int = 0
    operations: int = 0
    ended: int = 0
    snapshots: int = 0
    changes: int = 0
    seconds: float = 0.0
    broken: str = ""
    story: list[str] = field(default_factory=list)
    place: Path | None = None


def play(seed: int, number: int, most: int = FAULTS, deadline: float = float("inf")) -> Result:
    """Play an episode with at most that many faults, none of which begins after the deadline (monotonic clock)."""
    return _Episode(seed, number, most, deadline).play()


class _Episode:
    def __init__(self, seed: int, number: int, most: int, deadline: float) -> None:
        self._rng = random.Random(f"{seed}/{number}")
        self._most, self._deadline = most, deadline
        self._began = time.monotonic()
        self.result = Result(number)

    def play(self) -> Result:
        world = World(jupyter=self._rng.random() < 0.4)
        self._note(f"a {'Jupyter server' if world.has_jupyter else 'server'} in {world.base}")
        is_kept = False
        try:
            self._run(world)
        except (AssertionError, OSError, KeyError, RuntimeError) as error:
            kind = "" if isinstance(error, Broken) else traceback.format_exc()
            self.result.broken = f"{error}\n{kind}".strip()
            self.result.place = world.base
            is_kept = True
        finally:
            world.destroy()
            if not is_kept:
                world.remove()
        self.result.seconds = time.monotonic() - self._began
        return self.result

    def _note(self, line: str) -> None:
        self.result.story.append(f"{time.monotonic() - self._began:8.2f}  {line}")

    def _run(self, world: World) -> None:
        world.start()
        until(world.alive, "the first manager to answer", PATIENCE)
        driver = Driver(world, self._rng, self._note)
        try:
            self._begin(driver)
            for _ in range(self._most):
                if time.monotonic() < self._deadline:
                    self._fault(driver)
            self._end(driver)
        finally:
            driver.close()
            heard = driver.listener.heard
            self.result.operations = driver.operations
            self.result.ended, self.result.snapshots = len(heard.endings), heard.snapshots
            self.result.changes = heard.changes

    def _begin(self, driver: Driver) -> None:
        driver.do(operations.Operation("environment_open"))
        driver.recover()
        driver.do(operations.add_batch(driver.scene))
        driver.do(operations.Operation("queue_start"))

    def _fault(self, driver: Driver) -> None:
        if self._rng.random() < 0.7:
            driver.get_busy()
        for _ in range(self._rng.randint(0, 5)):
            driver.do()
            if self._rng.random() < 0.4:
                driver.linger()
        driver.linger()
        fault = faults.draw(self._rng, driver.world.roles)
        self._note(f"FAULT {fault.kind} {fault.words}")
        with fault.happen(driver.world) as is_hit:
            hit = driver.provoke(fault.needs, is_hit)
            for _ in range(self._rng.randint(0, 2)):
                driver.do()
        (self.result.struck if hit else self.result.missed)[fault.kind] += 1
        self._note("the fault is over" if hit else "the fault did not come to its moment")
        driver.recover()
        self._check(driver)

    def _check(self, driver: Driver) -> laws.Reading:
        reading = driver.check()
        self.result.checks += 1
        running = reading.running.get("item_uid", "nothing")[:8]
        self._note(f"all laws hold: {len(reading.queue)} queued, {running} runs, {len(reading.history)} in the history")
        return reading

    def _end(self, driver: Driver) -> None:
        world = driver.world
        if self._rng.random() < 0.25:
            self._note("ends hard, with whatever runs, and starts again")
            world.must("manager_stop", option="safe_off")
            world.end_jupyter()
            world.check_gone()
            world.start()
            driver.recover()
            self._check(driver)
        self._note("the rest of the queue runs")
        reading = driver.drain()
        self._note("ends")
        self._stop(world)
        world.check_gone()
        self._check_files(world, reading)

    def _stop(self, world: World) -> None:
        if world.has_jupyter and self._rng.random() < 0.5:
            world.end_jupyter()  # with nothing to do, everything ends with it
            return
        world.must("manager_stop")
        world.end_jupyter()

    def _check_files(self, world: World, reading: laws.Reading) -> None:
        told = ([item["item_uid"] for item in reading.queue], [item["item_uid"] for item in reading.history])
        if (stored := world.stored()) != told:
            raise Broken(f"the store holds {stored}, the manager said {told}")
        endings: dict[str, Ending] = reading.endings
        laws.journal_is_whole(read_journal(world.instance), endings)
        self._note("store and journal are as told")
