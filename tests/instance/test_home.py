"""What a copy of a data directory brought along names nobody; moving the directory changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jupyter_queueserver.documents.launch import find_relay
from jupyter_queueserver.documents.relay import _take_lock
from jupyter_queueserver.instance import Instance, Runtime, identity_of, read_runtime, write_runtime
from jupyter_queueserver.instance.home import copied_from, home_of
from jupyter_queueserver.link.environment import (
    StartupSource,
    new_record,
    read_copied_environment,
    read_environment,
    remove_environment,
    write_environment,
)
from jupyter_queueserver.manager.duty import read_duty, take_duty

RUNTIME = Runtime(epoch="e", manager=identity_of(), control_address="c", events_address="e", version="1", started=1.0)
READERS: dict[str, Callable[[Instance], Any]] = {
    "runtime.json": read_runtime,
    "environment.json": read_environment,
    "watchdog.lock": read_duty,
    "journal/relay.lock": lambda instance: find_relay(instance.data_dir),
}


@pytest.fixture
def original(tmp_path: Path) -> Any:
    """A directory in which this process is everything."""
    instance = Instance(tmp_path / "s").prepare_data()
    write_runtime(instance, RUNTIME)
    write_environment(instance, new_record(instance, StartupSource(kind="dir", value="x")))
    duty = take_duty(instance)
    lock = _take_lock(instance.data_dir)
    yield instance
    duty.release()
    os.close(lock)


@pytest.mark.parametrize("file", READERS)
def test_records_are_believed_where_they_were_written_and_not_in_a_copy(original: Instance, tmp_path: Path, file: str) -> None:
    read = READERS[file]
    found = read(original)
    assert found is not None
    shutil.copytree(original.data_dir, tmp_path / "copy")
    assert read(Instance(tmp_path / "copy")) is None
    assert read(original) == found
    (tmp_path / "link").symlink_to(original.data_dir)
    assert read(Instance(tmp_path / "link")) == found
    original.data_dir.rename(tmp_path / "moved")
    assert read(Instance(tmp_path / "moved")) == found


@pytest.mark.parametrize("file", READERS)
def test_a_record_of_an_earlier_version_counts_as_ours(original: Instance, tmp_path: Path, file: str) -> None:
    before = READERS[file](original)
    copy = Instance(tmp_path / "copy")
    shutil.copytree(original.data_dir, copy.data_dir)
    fields = msgspec.json.decode((copy.data_dir / file).read_bytes())
    del fields["home"]
    (copy.data_dir / file).write_bytes(msgspec.json.encode(fields))
    assert READERS[file](copy) == before


def test_a_copy_says_of_what(original: Instance, tmp_path: Path) -> None:
    copy = Instance(tmp_path / "copy")
    shutil.copytree(original.data_dir, copy.data_dir)
    home = home_of(original.data_dir)
    assert home.path == str(original.data_dir)
    assert copied_from(original) is None
    assert read_copied_environment(original) is None
    assert copied_from(copy) == home
    assert read_copied_environment(copy) == (read_environment(original), home)
    remove_environment(copy)
    assert copied_from(copy) == home
    write_runtime(copy, RUNTIME)
    assert copied_from(copy) is None
    assert read_copied_environment(copy) is None


def test_a_file_system_with_a_new_number_is_the_same_one(original: Instance) -> None:
    fields = msgspec.json.decode(original.runtime_file.read_bytes())
    fields["home"]["device"] += 1
    original.runtime_file.write_bytes(msgspec.json.encode(fields))
    assert read_runtime(original) == RUNTIME
    fields["home"]["path"] += "-elsewhere"
    original.runtime_file.write_bytes(msgspec.json.encode(fields))
    assert read_runtime(original) is None


def test_a_name_that_is_no_text_can_be_written_down(tmp_path: Path) -> None:
    directory = tmp_path / os.fsdecode(b"\xff")
    directory.mkdir()
    instance = Instance(directory)
    write_runtime(instance, RUNTIME)
    assert read_runtime(instance) == RUNTIME
