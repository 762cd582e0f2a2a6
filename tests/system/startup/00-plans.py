"""Startup code of the system tests: plans whose progress is steered by files, so that nothing depends on time."""

import os

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngine

RE = RunEngine({})


def _note(trace, line):
    with open(trace, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def hold(trace: str, go: str):
    """In a run: note "begin", hold with checkpoints until the file ``go`` is there, note "end"; "cleanup" comes in any case."""

    @bpp.finalize_decorator(lambda: _cleanup(trace))
    @bpp.run_decorator()
    def inner():
        _note(trace, "begin")
        print(f"holding until {go}")
        while not os.path.exists(go):
            yield from bps.checkpoint()
            yield from bps.sleep(0.01)
        _note(trace, "end")

    return (yield from inner())


def _cleanup(trace):
    _note(trace, "cleanup")
    yield from bps.null()


def brief(trace: str):
    """Note "begin" and "end"."""
    _note(trace, "begin")
    yield from bps.null()
    _note(trace, "end")


def fails(text: str):
    """Raise within an open run."""

    @bpp.run_decorator()
    def inner():
        yield from bps.null()
        raise RuntimeError(text)

    return (yield from inner())


class Ballast:
    """A reading of any size."""

    name, parent = "ballast", None

    def __init__(self, size):
        self._size = size

    def read(self):
        return {"ballast": {"value": "x" * self._size, "timestamp": 0.0}}

    def describe(self):
        return {"ballast": {"source": "none", "dtype": "string", "shape": []}}

    def read_configuration(self):
        return {}

    def describe_configuration(self):
        return {}


def weigh(size: str):
    """One event with so many characters."""

    @bpp.run_decorator()
    def inner():
        yield from bps.trigger_and_read([Ballast(int(size))])

    return (yield from inner())
