"""Plans of the simulated beamline: ordinary ones, a long one, one that fails, one that does nothing."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
from bluesky.protocols import Movable, Readable

from jupyter_queueserver import parameter_annotation_decorator


@parameter_annotation_decorator(
    {
        "description": "Step scan of one motor around a center, with a choice of resolution.",
        "parameters": {
            "detectors": {
                "annotation": "typing.List[Detector]",
                "devices": {"Detector": ["__DETECTOR__:.*"]},
                "description": "Detectors read at every point.",
            },
            "axis": {
                "annotation": "Axis",
                "devices": {"Axis": ["__MOTOR__:^motor", "__MOTOR__:-^stage$:^[xy]$"]},
                "description": "The motor that is moved.",
            },
            "center": {"min": -100, "max": 100},
            "span": {"min": 0, "max": 50, "step": 0.1},
            "resolution": {
                "annotation": "Resolution",
                "enums": {"Resolution": ["coarse", "medium", "fine"]},
                "default": "medium",
                "description": "Number of points: coarse 5, medium 11, fine 41.",
            },
        },
    }
)
def sweep_1d(
    detectors,
    axis,
    center: float = 0.0,
    span: float = 2.0,
    resolution="medium",
    *,
    md: dict[str, Any] | None = None,
):
    """Step scan of one motor around a center.

    Parameters
    ----------
    center : float
        Middle of the scan, in units of the motor.
    span : float
        Distance from the first to the last point, in units of the motor.
    md : dict, optional
        Metadata for the start document.
    """
    points = {"coarse": 5, "medium": 11, "fine": 41}[resolution]
    metadata = {"plan_name": "sweep_1d", "resolution": resolution, **(md or {})}
    yield from bp.scan(detectors, axis, center - span / 2, center + span / 2, points, md=metadata)


def long_count(detectors: Sequence[Readable], seconds: float = 60.0, step: float = 0.5):
    """Read detectors again and again for a given time, with a checkpoint before every reading.

    Parameters
    ----------
    detectors : list
        Detectors to read.
    seconds : float
        Total time, in seconds.
    step : float
        Time from one reading to the next, in seconds.
    """
    points = max(1, round(seconds / step))

    @bpp.stage_decorator(detectors)
    @bpp.run_decorator(md={"plan_name": "long_count", "num_points": points})
    def readings():
        for _ in range(points):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read(detectors)
            yield from bps.sleep(step)

    return (yield from readings())


def failing_plan(detectors: Sequence[Readable], points: int = 3, message: str = "simulated failure"):
    """Take a few readings, then raise an exception while the run is open.

    Parameters
    ----------
    detectors : list
        Detectors to read.
    points : int
        Number of readings before the failure.
    message : str
        Text of the exception.
    """

    @bpp.run_decorator(md={"plan_name": "failing_plan"})
    def readings():
        for _ in range(points):
            yield from bps.checkpoint()
            yield from bps.trigger_and_read(detectors)
        raise RuntimeError(message)

    return (yield from readings())


def quick():
    """Do nothing, as fast as possible."""
    yield from bps.null()


def write_steps(path: str, steps: int = 10, period: float = 0.1):
    """Append one line to a file for each step: the step's number and the time.

    Parameters
    ----------
    path : str
        File to write; it is made if it does not exist.
    steps : int
        Number of lines.
    period : float
        Time from one line to the next, in seconds.
    """
    for step in range(steps):
        yield from bps.checkpoint()
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{step} {time.time():.6f}\n")
        yield from bps.sleep(period)


def move_and_read(axis: Movable, position: float, detectors: Sequence[Readable]):
    """Move one motor and take one reading there.

    Parameters
    ----------
    axis : movable device
        The motor.
    position : float
        Where to go, in units of the motor.
    detectors : list
        Detectors to read.
    """
    yield from bps.mv(axis, position)
    yield from bp.count(detectors, 1)
