"""Where a plan failed, as the worker reports it: own lines, device, command, events; real kernels, one for the module."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kernel_rig import Rig

from jupyter_queueserver.core.reports import ItemEnded

pytestmark = pytest.mark.timeout(60)

STARTUP: str = '''
from bluesky import plan_stubs as bps
from bluesky import plans as bp
from bluesky import preprocessors as bpp
from ophyd import Device, DeviceStatus
from ophyd.sim import det, motor


class Stage(Device):
    def set(self, value):
        status = DeviceStatus(self)
        status.set_exception(RuntimeError(f"limit switch at {value}"))
        return status


class Camera(Device):
    shots = 0

    def trigger(self):
        self.shots += 1
        if self.shots > 3:
            raise OSError("camera lost")
        status = DeviceStatus(self)
        status.set_finished()
        return status


stage = Stage(name="stage")
camera = Camera(name="camera")


def align(target: float):
    yield from bps.mv(stage, target)


def moves():
    @bpp.run_decorator()
    def inner():
        yield from bps.trigger_and_read([det])
        yield from align(2.5)

    return (yield from inner())


def shoots():
    """The cleanup moves another device, which is not at fault."""

    def cleanup():
        yield from bps.mv(motor, 0)

    yield from bpp.finalize_wrapper(bp.count([camera], 5), cleanup)


def divides():
    yield from bps.mv(motor, 1)
    return 1 / 0


def wraps():
    try:
        yield from bps.mv(stage, 1)
    except Exception as err:
        raise RuntimeError("no alignment") from err


def takes(points: int, speed: float):
    yield from bps.null()
'''


@pytest.fixture(scope="module")
def failing(loop_runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Rig, Any]]:
    async def make() -> Rig:
        made = Rig(tmp_path_factory.mktemp("failing"))
        await made.open(STARTUP)
        return made

    made = loop_runner.run(make())
    yield made, loop_runner.run
    loop_runner.run(made.aclose())


def ended_of(failing: tuple[Rig, Any], name: str, *args: Any) -> ItemEnded:
    rig, run = failing

    async def scenario() -> ItemEnded:
        return await rig.until(ItemEnded, item_uid=await rig.start(name, *args))

    return run(scenario())


def line_of(text: str) -> int:
    return STARTUP.splitlines().index(text) + 1


def test_a_device_whose_status_fails(failing: Any) -> None:
    ended = ended_of(failing, "moves")
    point = ended.failure
    assert point is not None
    assert (ended.ending, point.device, point.run_uid, point.events) == ("failed", "stage", ended.run_uids[0], {"primary": 1})
    assert (Path(point.file or "").name, point.function) == ("00-plans.py", "align")
    assert point.line == line_of("    yield from bps.mv(stage, target)")


def test_a_device_that_raises_in_a_plan_of_bluesky(failing: Any) -> None:
    ended = ended_of(failing, "shoots")
    point = ended.failure
    assert point is not None
    assert (point.device, point.command, point.events) == ("camera", "trigger", {"primary": 3})
    assert point.function == "trigger"  # the class is the users' own
    assert point.line == line_of('            raise OSError("camera lost")')


def test_a_fault_of_the_plan_itself(failing: Any) -> None:
    ended = ended_of(failing, "divides")
    point = ended.failure
    assert point is not None
    assert (point.device, point.command, point.run_uid, point.events) == (None, None, None, {})
    assert (point.line, point.function) == (line_of("    return 1 / 0"), "divides")


def test_the_cause_tells_the_device(failing: Any) -> None:
    point = ended_of(failing, "wraps").failure
    assert point is not None
    assert (point.device, point.function) == ("stage", "wraps")


def test_all_that_is_wrong_with_the_parameters(failing: Any) -> None:
    ended = ended_of(failing, "takes", "many", "fast", 3)
    assert ended.ending == "refused"
    assert ended.msg.startswith("Plan failed: Error occurred while processing plan parameters or starting the plan: ")
    assert all(problem in ended.msg for problem in ended.problems)
    assert len(ended.problems) == 3


@pytest.mark.parametrize("name", ["moves", "shoots", "divides", "wraps"])
def test_the_machinery_is_folded(failing: Any, name: str) -> None:
    text = ended_of(failing, name).traceback
    assert re.search(r"^  \[\d+ lines? of .*bluesky.* left out\]$", text, re.MULTILINE)
    assert "runner.py" not in text
    assert f"in {name}\n" in text
    parts = re.split(r"\nThe above exception was .*\n", text)
    for part in parts:
        entries = re.findall(r'^  File "(.*)", line', part, re.MULTILINE)
        assert not [path for path in entries[:-1] if re.search(r"/(bluesky|asyncio|jupyter_queueserver)/", path)]


def test_the_lines_are_those_that_ran(failing: Any) -> None:
    """Somebody has edited the file since the environment was opened."""
    rig, _ = failing
    (rig.directory / "startup" / "00-plans.py").write_text("# empty\n" * 300)
    assert "    return 1 / 0\n" in ended_of(failing, "divides").traceback
