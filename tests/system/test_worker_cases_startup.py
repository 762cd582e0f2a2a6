"""Named cases of the environment: startup code that misbehaves in every way, and what clients see of one that was opened anew."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from casehall import wait_closed
from harness import Server, is_process, until, wait_dead

MakeServer = Callable[..., Server]


@pytest.fixture
def opening(new_server: MakeServer, tmp_path: Path) -> Callable[..., Server]:
    """Starts a server whose startup code is this text, after a file without fault, and opens the environment."""

    def start(text: str) -> Server:
        directory = tmp_path / "startup"
        directory.mkdir()
        (directory / "00-first.py").write_text("import os, sys, time\n")
        (directory / "10-second.py").write_text(text)
        server = new_server("--startup-dir", str(directory), "--saver", "none")
        server.start()
        server.ok("environment_open")
        return server

    return start


def check_failed(server: Server, *words: str) -> None:
    """The opening has failed by the second file; everything works on, and it can be tried again."""
    status = server.wait_for(lambda status: status["environment_failure"], "the failure to be told")
    failure = status["environment_failure"]
    assert failure["file"] == "10-second.py"
    for word in words:
        assert word in failure["msg"]
    status = wait_closed(server)
    assert (status["manager_state"], status["environment_loading"]) == ("idle", None)
    until(lambda: not server.instance.environment_file.exists(), "the worker to be buried")
    server.ok("environment_open")
    wait_closed(server)
    server.stop()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\nraise ValueError('no beam')\n", ("ValueError", "no beam", "line 2")),
        ("sys.exit('not today')\n", ("SystemExit", "not today")),
        ("os._exit(7)\n", ("exit code 7", "10-second.py", "2 of 2")),
        ("os.kill(os.getpid(), 9)\n", ("SIGKILL", "10-second.py", "2 of 2")),
    ],
    ids=["raises", "sys.exit", "os._exit", "kills-itself"],
)
def test_startup_code_that_ends(opening: Callable[..., Server], text: str, words: tuple[str, ...]) -> None:
    check_failed(opening(text), *words)


@pytest.mark.parametrize(
    "text",
    ["import threading\nthreading.Event().wait()\n", "while True: pass\n", "for _ in range(300):\n    time.sleep(1)\n"],
    ids=["waits", "spins", "imports-for-5-minutes"],
)
def test_startup_code_that_takes_for_ever(opening: Callable[..., Server], text: str) -> None:
    """The status says what is being loaded; destroy ends it at once, the queue can be edited meanwhile."""
    server = opening(text)
    status = server.wait_for(
        lambda status: (status["environment_loading"] or {}).get("number") == 2, "the second file to be told"
    )
    loading = status["environment_loading"]
    assert (loading["name"], loading["count"]) == ("10-second.py", 2)
    assert (status["manager_state"], status["worker_environment_state"]) == ("creating_environment", "initializing")
    stop = {"item_type": "instruction", "name": "queue_stop"}
    server.ok("queue_item_add", item=stop, user="t", user_group="primary")
    assert "already in the process" in server.refused("environment_open")["msg"]
    worker = server.worker
    server.ok("environment_destroy")
    status = wait_closed(server)
    wait_dead(worker)
    assert (status["environment_failure"], status["environment_loading"]) == (None, None)
    assert len(server.queue()) == 1
    server.stop()


def rss(pid: int) -> int:
    """Memory of a process, bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.long
def test_startup_code_that_prints_a_gigabyte(opening: Callable[..., Server]) -> None:
    """It opens; the console file is bounded on the disk, and the manager keeps none of it in memory."""
    server = opening("for _ in range(1024):\n    os.write(1, (b'x' * 1023 + b'\\n') * 1024)\n")
    before = rss(server.manager)
    status = server.wait_for(lambda status: status["manager_state"] == "idle", "the environment to open", 300.0)
    assert status["worker_environment_exists"]
    console = server.environment.console.stat()
    assert console.st_size >= 2**30
    until(lambda: server.environment.console.stat().st_blocks * 512 < 64 * 2**20, "the head of the file to be given back")
    assert rss(server.manager) - before < 64 * 2**20
    assert rss(server.watchdog) < 200 * 2**20
    server.stop()


def test_startup_code_that_forks(opening: Callable[..., Server], tmp_path: Path) -> None:
    """The environment opens and closes as any other; destroy ends the children that stayed in the worker's process group."""
    pids = tmp_path / "pids"
    text = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '3600'])\n"
        "forked = os.fork()\n"
        "if forked == 0:\n"
        "    while True:\n"
        "        time.sleep(3600)\n"
        f"with open({str(pids)!r}, 'w') as file:\n"
        "    file.write(f'{child.pid} {forked}')\n"
    )
    server = opening(text)
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the environment to open", 30.0)
    children = [int(word) for word in pids.read_text().split()]
    assert all(is_process(pid) for pid in children)
    worker = server.worker
    server.ok("environment_destroy")
    wait_closed(server)
    wait_dead(worker)
    for pid in children:
        wait_dead(pid)
    server.stop()


def test_children_of_a_worker_that_died(opening: Callable[..., Server], tmp_path: Path) -> None:
    """They have its descriptors, maybe its devices: its death is seen all the same, they end, a new environment opens."""
    pids = tmp_path / "pids"
    text = (
        "forked = os.fork()\n"
        "if forked == 0:\n"
        "    while True:\n"
        "        time.sleep(3600)\n"
        f"with open({str(pids)!r}, 'a') as file:\n"
        "    file.write(f'{forked} ')\n"
    )
    server = opening(text)
    server.wait_for(lambda status: status["worker_environment_state"] == "idle", "the environment to open", 30.0)
    os.kill(server.worker, signal.SIGKILL)
    wait_closed(server)
    for word in pids.read_text().split():
        wait_dead(int(word))
    server.open()
    server.stop()
