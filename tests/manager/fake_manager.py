"""A manager without a queue: it beats, answers SIGTERM as its script says, and tells a witness socket what
happens to it.

The script is ``fake.json`` in the data directory; see `Script`.  Started as a program by a watchdog under
test.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time

import msgspec

from jupyter_queueserver.instance import Identity, Runtime, identity_of, remove_runtime, write_runtime
from jupyter_queueserver.manager.heartbeat import Heartbeat
from jupyter_queueserver.manager.settings import read_settings


class Script(msgspec.Struct, kw_only=True):
    """What this manager does: ``refuse`` a start, ``crash`` at it, or serve and be ``busy`` or idle when
    asked to end.  One that ``lingers`` is gone only at SIGUSR2 after that; one that ``hangs`` stops as soon as it has started
    another watchdog."""

    start: str = "serve"
    busy: bool = False
    revive: bool = True
    crashes: int = 0
    lingers: bool = False
    hangs: bool = False


class Event(msgspec.Struct, kw_only=True):
    """What the witness hears: ``started``, ``ready``, ``watchdog`` (with its pid as ``other``),
    ``ending``."""

    kind: str
    pid: int
    other: int = 0


def witness(kind: str, other: int = 0) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(msgspec.json.encode(Event(kind=kind, pid=os.getpid(), other=other)), os.environ["FAKE_WITNESS"])


async def serve(settings_file: str) -> int:
    settings = read_settings(settings_file)
    instance = settings.instance
    path = instance.data_dir / "fake.json"
    script = msgspec.json.decode(path.read_bytes(), type=Script) if path.exists() else Script()
    watchdog_seen = asyncio.Event()

    def welcome(watchdog: Identity) -> None:
        witness("watchdog", watchdog.pid)
        watchdog_seen.set()

    heart = Heartbeat(instance, interval=0.1, revive=script.revive, use_pidfd=settings.use_pidfd, on_watchdog=welcome)
    if script.hangs:
        path.write_bytes(msgspec.json.encode(Script()))  # the next one does not
        start_another = heart._start_another

        def start_and_hang() -> None:
            before = len(heart._children)
            start_another()
            if len(heart._children) > before:
                os.kill(os.getpid(), signal.SIGSTOP)

        heart._start_another = start_and_hang  # type: ignore[method-assign]
    witness("started")
    print(f"fake manager {os.getpid()} starts", flush=True)
    if script.start == "refuse":
        heart.failed("The store belongs to somebody else")
        heart.close()
        return 3
    if script.start == "crash" or script.crashes > 0:
        script.crashes -= 1
        path.write_bytes(msgspec.json.encode(script))
        raise RuntimeError("broken at the start")
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: heart.busy("plan 'count' (uid 1) is running") if script.busy else asked.set())
    released = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR2, released.set)
    beating = asyncio.create_task(heart.run())
    await watchdog_seen.wait()
    runtime = Runtime(
        epoch="1",
        manager=identity_of(),
        control_address=instance.control_address,
        events_address=instance.events_address,
        tcp_address="tcp://127.0.0.1:60615",
        version="0",
        started=time.time(),
    )
    write_runtime(instance, runtime)
    heart.ready()
    witness("ready")
    await asked.wait()
    instance.stopped_mark.touch(mode=0o600)  # as the real one: for a watchdog that does not hear it
    heart.ending()
    witness("ending")
    if script.lingers:
        await released.wait()
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    heart.close()
    remove_runtime(instance)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(sys.argv[sys.argv.index("--settings") + 1])))
