"""One conversation for all four forms of the API: blocking or asyncio, 0MQ or HTTP.

A conversation is written with ``await``.  Of the blocking API nothing is ever awaited, so no loop runs under it.
What was used is noted, so that a test can tell which part of the API was not.
"""

import asyncio
import contextlib
import inspect
import threading
import time

from reply_keys import check_keys

MONITORS = ("console_monitor", "system_info_monitor")


class Recorder:
    """Stands for an API object (or one of its monitors); notes the names that are used."""

    def __init__(self, target, seen=None, prefix=""):
        vars(self).update(_target=target, _prefix=prefix, seen=set() if seen is None else seen)

    def __getattr__(self, name):
        value = getattr(self._target, name)
        self.seen.add(self._prefix + name)
        if name in MONITORS:
            return Recorder(value, self.seen, f"{name}.")
        if callable(value) and not isinstance(value, type):
            return lambda *args, **kwargs: _settle(name, value, args, kwargs)
        return value

    def __setattr__(self, name, value):
        self.seen.add(self._prefix + name)
        setattr(self._target, name, value)

    def unused(self):
        """Public names of the API and of its monitors that were never used."""
        names = {name for name in dir(type(self._target)) if not name.startswith("_")}
        for monitor in MONITORS:
            kind = type(getattr(self._target, monitor))
            names |= {f"{monitor}.{name}" for name in dir(kind) if not name.startswith("_")}
        return sorted(names - self.seen)


async def _settle(name, function, args, kwargs):
    result = function(*args, **kwargs)
    if inspect.isawaitable(result):
        result = await result
    check_keys(name, result)
    return result


def drive(conversation, style):
    """Run a conversation: in a loop, or without one."""
    if style == "asyncio":
        return asyncio.run(conversation)
    try:
        conversation.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the blocking API was awaited")


def later(seconds, function, style):
    """Call a function after a while, from the loop or from a thread, as the style has it."""
    if style == "asyncio":
        asyncio.get_running_loop().call_later(seconds, function)
    else:
        threading.Timer(seconds, function).start()


@contextlib.contextmanager
def raises(kind, text=""):
    """The block must raise that, with that text in it; what was raised is in the list that is given."""
    caught = []
    try:
        yield caught
    except kind as err:
        caught.append(err)
    assert caught, f"{kind.__name__} was not raised"
    assert text in str(caught[0]), f"{kind.__name__} says {str(caught[0])!r}, expected {text!r} in it"


def deadline(seconds):
    """Whether there is still time, as a function."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end
