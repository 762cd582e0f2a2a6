"""A data directory is copied while its server runs: a start on the copy serves the copy, and the first goes on untouched."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import PROGRAM, Held, Server, is_process, kill, until, wait_dead

from jupyter_queueserver.documents.deaths import read_death
from jupyter_queueserver.documents.launch import find_relay

MakeServer = Callable[..., Server]


def copied(server: Server, new_server: MakeServer) -> Server:
    """A copy of the directory as it is now; not started."""
    copy = new_server()
    shutil.copytree(server.data_dir, copy.data_dir)
    return copy


@pytest.fixture
def busy(new_server: MakeServer, tmp_path: Path) -> tuple[Server, Held, str]:
    """A server whose plan holds, with another item behind it."""
    server = new_server()
    server.start()
    server.open()
    plan = Held(server, tmp_path, "plan")
    behind = server.add("brief", trace=tmp_path / "behind")
    server.ok("queue_start")
    plan.wait("begin")
    server.wait_running(plan.uid)
    until(lambda: find_relay(server.data_dir), "the relay")
    return server, plan, behind


def cast(server: Server) -> tuple[int, int, int, int]:
    """Its processes."""
    relay = find_relay(server.data_dir)
    assert relay is not None
    return server.watchdog, server.manager, server.worker, relay.pid


@pytest.mark.long
def test_a_copy_of_a_running_directory_is_another_instance(
    new_server: MakeServer, busy: tuple[Server, Held, str], tmp_path: Path
) -> None:
    server, plan, behind = busy
    before = cast(server)
    copy = copied(server, new_server)
    record, environment_id = server.environment, server.environment.environment_id
    ended = subprocess.run(
        [*PROGRAM, "environments", "--data-dir", str(copy.data_dir), "--end", environment_id],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, "There is no environment" in ended.stdout) == (1, True)

    command = [*PROGRAM, "start-re-manager", "--detach", "--private", "--data-dir", str(copy.data_dir), *copy.options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"is a copy of {server.data_dir}" in done.stderr
    copy.wait_for(lambda status: status["worker_environment_state"] == "closed", "the copy to know that it has no worker")
    assert copy.manager != server.manager
    (entry,) = copy.history()
    assert (entry["item_uid"], entry["result"]["ending"]) == (plan.uid, "interrupted")
    assert f"a copy of {server.data_dir}" in entry["result"]["msg"]
    assert [item["item_uid"] for item in copy.queue()][-1] == behind
    assert copy.queue()[0]["returned"]["item_uid"] == plan.uid
    assert not copy.instance.environment_file.exists()
    assert read_death(copy.instance.journal, environment_id) is not None
    assert read_death(server.instance.journal, environment_id) is None

    copy.ok("queue_clear")
    copy.open()
    own = copy.add("brief", trace=tmp_path / "own")
    copy.ok("queue_start")
    copy.wait_for(lambda status: status["items_in_history"] == 2 and status["manager_state"] == "idle", "its own item to end")
    assert copy.history()[-1]["item_uid"] == own
    until(lambda: find_relay(copy.data_dir), "the relay of the copy")
    assert set(cast(copy)).isdisjoint(before)
    copy.stop()

    assert cast(server) == before
    assert all(is_process(pid) for pid in before)
    assert server.environment == record
    plan.go()
    server.wait_for(lambda status: status["items_in_history"] == 2 and status["manager_state"] == "idle", "both items to end")
    assert [(item["item_uid"], item["result"]["ending"]) for item in server.history()] == [
        (plan.uid, "completed"),
        (behind, "completed"),
    ]
    assert plan.ran_once
    assert cast(server) == before
    server.stop()


@pytest.mark.long
def test_a_directory_reached_by_a_link_keeps_its_worker(
    new_server: MakeServer, busy: tuple[Server, Held, str], tmp_path: Path
) -> None:
    """Reached by another name: manager and watchdog are killed, the next ones are started by way of a symbolic link."""
    server, plan, _ = busy
    worker = server.worker
    kill(server.watchdog, server.manager)
    link = tmp_path / "link"
    os.symlink(server.data_dir, link)
    command = [*PROGRAM, "start-re-manager", "--detach", "--private", "--data-dir", str(link), *server.options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "copy" in done.stderr) == (0, False), done.stderr
    server.wait_running(plan.uid)
    assert server.worker == worker
    plan.go()
    server.wait_for(lambda status: status["items_in_history"] == 2 and status["manager_state"] == "idle", "both items to end")
    assert plan.ran_once
    watchdog = server.watchdog
    server.ok("manager_stop", option="safe_off")
    wait_dead(watchdog)  # its command line has the link, so that it is not found by the name of the directory
    server.check_gone()
