"""Which process is which, and how its death is seen, with pidfd and without."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from jupyter_queueserver.instance import Identity, ProcessWatch, identity_of, is_alive


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_identity_is_more_than_a_pid() -> None:
    me = identity_of()
    assert me.pid == os.getpid()
    assert is_alive(me)
    assert not is_alive(msgspec.structs.replace(me, started=me.started + 1))
    assert not is_alive(msgspec.structs.replace(me, boot_id="another boot"))


def test_no_such_process() -> None:
    with pytest.raises(ProcessLookupError):
        identity_of(2**22 + 1)
    assert not is_alive(Identity(2**22 + 1, 1, identity_of().boot_id, ""))


def test_a_zombie_is_dead(child: subprocess.Popen[bytes]) -> None:
    identity = identity_of(child.pid)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(identity)


@pytest.mark.parametrize("use_pidfd", [True, False])
def test_watch_sees_a_death(child: subprocess.Popen[bytes], use_pidfd: bool) -> None:
    watch = ProcessWatch(child.pid, use_pidfd=use_pidfd, interval=0.02)
    assert (watch.fileno() is not None) == (use_pidfd and hasattr(os, "pidfd_open"))
    assert not watch.is_dead()

    async def kill_and_wait() -> None:
        waiting = asyncio.create_task(watch.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert watch.send_signal(signal.SIGKILL)
        await asyncio.wait_for(waiting, 30)

    asyncio.run(kill_and_wait())
    assert watch.is_dead()
    assert not watch.send_signal(signal.SIGTERM)
    watch.close()


def test_watch_of_a_process_that_is_gone() -> None:
    watch = ProcessWatch(2**22 + 1)
    assert watch.is_dead()
    asyncio.run(asyncio.wait_for(watch.wait(), 1))
