"""Startup code of the benchmarks: the same files for the bare loop, for our worker and for the old server's."""

# ruff: noqa: F401 - everything imported here is meant for the namespace
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngine
from bluesky.plans import count, grid_scan, scan
from ophyd.sim import SynAxis, SynGauss

RE = RunEngine({})

motor = SynAxis(name="motor", labels={"motors"})
det = SynGauss("det", motor, "motor", center=0, Imax=1, sigma=1, labels={"detectors"})


def nothing():
    """Do nothing, as fast as possible."""
    yield from bps.null()


def checkpoints(seconds: float = 60.0, step: float = 0.1):
    """Sleep, with a checkpoint before each step."""

    @bpp.run_decorator(md={"plan_name": "checkpoints"})
    def steps():
        for _ in range(round(seconds / step)):
            yield from bps.checkpoint()
            yield from bps.sleep(step)

    return (yield from steps())


def events(number: int):
    """One run with so many small events."""

    @bpp.run_decorator(md={"plan_name": "events"})
    def readings():
        for _ in range(number):
            yield from bps.checkpoint()  # without it the RunEngine keeps every message, to go back to
            yield from bps.create()
            yield from bps.read(motor)
            yield from bps.save()

    return (yield from readings())


def stamps(path: str, seconds: float = 0.2):
    """Sleep; write down when it began and ended."""
    began = time.monotonic()
    yield from bps.sleep(seconds)
    with open(path, "a") as file:
        file.write(f"{began} {time.monotonic()}\n")
