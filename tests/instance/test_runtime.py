"""`runtime.json` is believed only while its manager lives."""

from __future__ import annotations

from pathlib import Path

import msgspec

from jupyter_queueserver.instance import (
    Instance,
    Runtime,
    identity_of,
    read_runtime,
    remove_runtime,
    write_runtime,
)
from jupyter_queueserver.instance.launch import LOG_LIMIT, open_log

RUNTIME = Runtime(epoch="e", manager=identity_of(), control_address="c", events_address="e", version="1", started=1.0)


def test_round_trip(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    assert read_runtime(instance) is None
    write_runtime(instance, RUNTIME)
    assert read_runtime(instance) == RUNTIME
    remove_runtime(instance)
    remove_runtime(instance)
    assert read_runtime(instance) is None


def test_dead_manager_and_broken_file(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    dead = msgspec.structs.replace(RUNTIME, manager=msgspec.structs.replace(identity_of(), started=1))
    write_runtime(instance, dead)
    assert read_runtime(instance) is None
    assert read_runtime(instance, living=False) == dead
    instance.runtime_file.write_bytes(b'{"epoch": "e"')
    assert read_runtime(instance, living=False) is None


def test_big_log_is_moved_aside(tmp_path: Path) -> None:
    log = tmp_path / "m.log"
    with open(open_log(log), "wb") as file:
        file.truncate(LOG_LIMIT + 1)
    with open(open_log(log), "wb") as file:
        file.write(b"new")
    with open(open_log(log), "wb") as file:
        file.write(b" and more")
    assert log.read_bytes() == b"new and more"
    assert (tmp_path / "m.log.1").stat().st_size == LOG_LIMIT + 1
    assert log.stat().st_mode & 0o777 == 0o600
