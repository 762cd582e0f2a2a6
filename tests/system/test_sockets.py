"""One server, whatever login session its processes come from and whatever becomes of the directory of its sockets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import PROGRAM, STARTUP, Held, Server, kill, until, wait_dead

from jupyter_queueserver.client import find_target
from jupyter_queueserver.instance import Instance, read_runtime
from jupyter_queueserver.manager.duty import read_duty

MakeServer = Callable[..., Server]
OPTIONS = ("--startup-dir", str(STARTUP), "--saver", "none")


@pytest.fixture
def sessions() -> Iterator[tuple[Path, Path]]:
    """The runtime directories of two login sessions."""
    base = Path(tempfile.mkdtemp(prefix="jqs-test-"))
    for name in ("a", "b"):
        (base / name).mkdir(mode=0o700)
    yield base / "a", base / "b"
    shutil.rmtree(base, ignore_errors=True)


def holding(server: Server, directory: Path, name: str) -> Held:
    """Open the environment and have a plan held in it."""
    server.open()
    plan = Held(server, directory, name)
    server.ok("queue_start")
    plan.wait("begin")
    return plan


def test_a_start_from_another_session_comes_back(
    new_server: MakeServer, sessions: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C with a plan: the stand-in gives way, the new watchdog hears the manager; clients find it."""
    first, second = sessions
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(first))
    server = new_server()
    server.start()
    plan = holding(server, tmp_path, "plan")
    manager, watchdog = server.manager, server.watchdog
    os.kill(watchdog, signal.SIGINT)
    wait_dead(watchdog)
    server.wait_watchdog(watchdog)

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(second))
    command = [*PROGRAM, "start-re-manager", "--private", "--data-dir", str(server.data_dir), *OPTIONS, "--silence-limit", "3"]
    back = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (note := read_duty(server.instance)) and note.watchdog.pid == back.pid, "the user's watchdog on duty")
        until(lambda: (now := server.runtime().watchdog) and now.pid == back.pid, "the manager to see it")
        with pytest.raises(AssertionError):
            wait_dead(manager, timeout=5.0)  # beyond the limit of silence
        assert find_target(instance=Instance(server.data_dir)).control.startswith(f"ipc://{first}/")
        command = [*PROGRAM, "qserver", "--data-dir", str(server.data_dir), "status"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "executing_queue" in done.stdout, done.stderr
        plan.go()
        server.wait_state("idle")
        assert plan.ran_once
        assert server.manager == manager
        server.stop()
    finally:
        back.send_signal(signal.SIGINT)
        back.wait(15)
    assert list(second.iterdir()) == []


@pytest.mark.parametrize("whole", [False, True], ids=["directory", "runtime directory"])
def test_vanished_sockets(
    new_server: MakeServer, sessions: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """The manager comes back, in another directory if need be, and so do the sockets of the worker: the queue goes on."""
    first, _ = sessions
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(first))
    server = new_server()
    server.start()
    plan = holding(server, tmp_path, "plan")
    second = Held(server, tmp_path, "second")
    old, watchdog, worker = server.manager, server.watchdog, server.worker
    shutil.rmtree(first if whole else server.instance.sockets)
    server.wait_new_manager(old)
    assert server.watchdog == watchdog
    assert server.instance.sockets.is_relative_to(first) is not whole
    until(lambda: (server.instance.sockets / "relay.bell").exists(), "a relay that can be rung")
    until(lambda: server.call("re_pause", option="immediate")["success"], "the worker to be found again")
    until(lambda: server.status()["manager_state"] == "paused", "the pause")  # the old address of the events is dead
    server.ok("re_resume")
    plan.go()
    second.wait("begin")
    second.go()
    until(lambda: server.status()["manager_state"] == "idle", "the end of both")
    assert [item["result"]["ending"] for item in server.history()] == ["completed", "completed"]
    assert plan.ran_once
    assert second.ran_once
    assert server.worker == worker
    server.ok("environment_close")
    wait_dead(worker)
    until(lambda: server.status()["worker_environment_state"] == "closed", "the environment to be closed")
    server.stop()


def test_vanished_sockets_of_the_worker_alone(new_server: MakeServer, tmp_path: Path) -> None:
    """The manager keeps its connection; the next manager, and consoles, find the new ones."""
    server = new_server()
    server.start()
    plan = holding(server, tmp_path, "plan")
    before = json.loads(Path(server.environment.connection_file).read_text())
    for path in server.instance.sockets.glob("k*"):
        path.unlink()

    def bound_again() -> bool:
        info = json.loads(Path(server.environment.connection_file).read_text())
        return info["ip"] != before["ip"] and info["key"] == before["key"] and Path(f"{info['ip']}-{info['iopub_port']}").exists()

    until(bound_again, "the sockets of the worker")
    manager = server.manager
    kill(manager)
    server.wait_new_manager(manager)
    plan.go()
    server.wait_state("idle")
    assert plan.ran_once
    server.stop()


def test_store_moved_away_under_a_plan(new_server: MakeServer, tmp_path: Path) -> None:
    """A manager with another store lets the plan run to its end, and starts nothing more in that worker."""
    server = new_server()
    server.start()
    plan = holding(server, tmp_path, "plan")
    worker = server.worker
    kill(server.watchdog, server.manager)
    for file in server.data_dir.glob("queue.sqlite*"):
        file.rename(tmp_path / file.name)
    server.start()
    status = server.wait_for(lambda status: status["environment_outdated"], "the worker to be taken over")
    assert (status["worker_environment_state"], status["re_state"]) == ("idle", "running")
    assert status["manager_state"] == "idle"
    kill(server.manager)  # the next one knows the environment, and still does not use it
    server.wait_for(lambda status: status["environment_outdated"], "the worker to be taken over again")
    assert server.refused("queue_start")["error"]["code"] == "worker_outdated"
    plan.go()
    server.wait_for(lambda status: status["re_state"] == "idle", "the plan's end")
    assert plan.ran_once
    assert server.history() == []
    assert server.worker == worker
    server.ok("environment_close")
    wait_dead(worker)
    server.wait_for(lambda status: status["worker_environment_state"] == "closed", "the environment to be closed")
    server.stop()


def test_address_in_use(tmp_path: Path) -> None:
    """It is said once, with the address and what to do; nothing is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        data = tmp_path / "data"
        command = [*PROGRAM, "start-re-manager", "--data-dir", str(data), "--zmq-control-addr", address, *OPTIONS]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"The address {address} cannot be used: Address already in use" in done.stderr
    assert "--zmq-control-addr" in done.stderr
    assert (data / "logs" / "manager.log").read_text().count("cannot start") == 1
    assert read_runtime(Instance(data)) is None
    assert not Instance(data).sockets.exists()


def test_modules_of_the_users_folder_are_not_taken_for_ours(new_server: MakeServer, tmp_path: Path) -> None:
    """The worker works in that folder; watchdog and manager do not hold it."""
    for name in ("queue", "yaml", "msgspec", "jupyter_queueserver"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the user')\n")
    server = new_server()
    command = [sys.executable, "-P", "-m", "jupyter_queueserver", "start-re-manager", "--detach", "--private"]
    command += ["--data-dir", str(server.data_dir), *OPTIONS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    server.open()
    where = {pid: os.readlink(f"/proc/{pid}/cwd") for pid in (server.watchdog, server.manager, server.worker)}
    assert where == {
        server.watchdog: str(server.data_dir),
        server.manager: str(server.data_dir),
        server.worker: str(tmp_path),
    }
    assert server.instance.environments.stat().st_mode & 0o777 == 0o700
    server.stop()
