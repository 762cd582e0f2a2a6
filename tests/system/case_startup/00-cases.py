"""Startup code of the named worker cases: plans and devices that fail in the ways that plans and devices do."""

import asyncio
import ctypes
import os
import resource
import threading
import time

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky import RunEngine

RE = RunEngine({})
_never = threading.Event()


def _note(trace, line):
    with open(trace, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def _there(path):
    return os.path.exists(path)


class Stubborn:
    """A device that can be set, paused and stopped, and does it as it is told."""

    parent = None

    def __init__(self, name):
        self.name = name
        self.mode = ""

    def set(self, mode):
        self.mode = mode
        from ophyd.status import Status

        status = Status()
        status.set_finished()
        return status

    def pause(self):
        if self.mode == "pause raises":
            raise RuntimeError("the device refuses to pause")
        if self.mode == "pause blocks":
            _never.wait()
        if self.mode == "pause waits":
            return asyncio.sleep(10**6)
        return None

    def resume(self):
        if self.mode == "resume waits":
            return asyncio.sleep(10**6)
        return None

    def stop(self, success=True):
        if self.mode == "stop raises":
            self.mode = ""
            raise RuntimeError("the device refuses to stop")
        if self.mode == "stop waits":
            self.mode = ""
            return asyncio.sleep(10**6)
        return None


stubborn = Stubborn("stubborn")


def hold(trace: str, go: str):
    """In a run: hold with checkpoints until the file ``go`` is there."""

    @bpp.finalize_decorator(lambda: _cleanup(trace))
    @bpp.run_decorator()
    def inner():
        _note(trace, "begin")
        while not _there(go):
            yield from bps.checkpoint()
            yield from bps.sleep(0.01)
        _note(trace, "end")

    return (yield from inner())


def _cleanup(trace):
    _note(trace, "cleanup")
    yield from bps.null()


def with_device(trace: str, go: str, mode: str):
    """As ``hold``, with the device in a mode."""
    yield from bps.mv(stubborn, mode)
    return (yield from hold(trace, go))


def no_checkpoint(trace: str, go: str):
    """Hold without any checkpoint but the first."""
    yield from bps.checkpoint()
    _note(trace, "begin")
    while not _there(go):
        yield from bps.sleep(0.01)
    _note(trace, "end")


def hanging_cleanup(trace: str, go: str):
    """A clean-up that hangs, in two steps."""

    def cleanup():
        _note(trace, "cleanup")
        yield from bps.sleep(10**6)
        _note(trace, "cleaned")

    yield from bpp.finalize_wrapper(no_checkpoint(trace, go), cleanup())


def spin(trace: str, go: str):
    """Hold the RunEngine's loop until the file ``go`` is there."""
    yield from bps.checkpoint()
    _note(trace, "begin")
    while not _there(go):
        time.sleep(0.01)
    for _ in range(20):
        yield from bps.checkpoint()
        yield from bps.sleep(0.01)
    _note(trace, "end")


def last_point(trace: str, go: str):
    """Hold behind the last checkpoint, in the plan's last step."""
    yield from bps.checkpoint()
    yield from bps.null()
    _note(trace, "begin")
    while not _there(go):
        time.sleep(0.01)
    _note(trace, "end")


def brief(trace: str):
    """Note "begin" and "end"."""
    _note(trace, "begin")
    yield from bps.null()
    _note(trace, "end")


def eats_memory(trace: str):
    """Ask for more memory than the process may have."""
    _note(trace, "begin")
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="utf-8") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, before[1]))
    try:
        yield from bps.null()
        bytearray(2**30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def segfaults(trace: str):
    """Read from address 0."""
    _note(trace, "begin")
    yield from bps.null()
    ctypes.string_at(0)
