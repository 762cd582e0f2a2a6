"""Where an instance is found and how its directories are protected."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_queueserver.client import find_target
from jupyter_queueserver.client.errors import SettingsError
from jupyter_queueserver.instance import Instance, check_private, find_instance, write_private


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="jqs-test-") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield Instance(tmp_path / "data")


def test_argument_beats_variable_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_QUEUESERVER_DATA_DIR", str(tmp_path / "variable"))
    assert find_instance(tmp_path / "argument").data_dir == tmp_path / "argument"
    assert find_instance().data_dir == tmp_path / "variable"
    monkeypatch.delenv("JUPYTER_QUEUESERVER_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert find_instance().data_dir == tmp_path / "jupyter_queueserver" / "default"


def test_directories_are_private(instance: Instance) -> None:
    instance.prepare()
    for directory in (instance.data_dir, instance.sockets):
        assert directory.stat().st_mode & 0o777 == 0o700
    instance.data_dir.chmod(0o755)
    instance.prepare()
    assert instance.data_dir.stat().st_mode & 0o777 == 0o700


def test_a_link_in_place_of_the_socket_directory_is_refused(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    instance.sockets.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        instance.prepare()


def other_session(monkeypatch: pytest.MonkeyPatch, instance: Instance) -> Path:
    """Be in another login session; returns its runtime directory."""
    directory = instance.data_dir.parent / "run"
    directory.mkdir()
    monkeypatch.setattr("jupyter_queueserver.instance.paths.len", lambda text: 10, raising=False)  # however long it is here
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    return directory


def test_the_socket_directory_is_chosen_once(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = instance.prepare().sockets
    elsewhere = other_session(monkeypatch, instance)
    assert instance.sockets == Instance(instance.data_dir).prepare_anew().sockets == chosen
    assert list(elsewhere.iterdir()) == []
    copied = Instance(instance.data_dir.with_name("copy"))
    shutil.copytree(instance.data_dir, copied.data_dir)
    assert copied.prepare().sockets.parent == elsewhere
    assert instance.sockets == chosen


def test_a_socket_directory_that_cannot_be_made_is_replaced_at_a_start_only(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = instance.prepare().sockets
    chosen.rmdir()
    chosen.touch()
    elsewhere = other_session(monkeypatch, instance)
    with pytest.raises(OSError, match="jqs-"):
        instance.prepare()
    assert instance.sockets == chosen
    instance.prepare_anew()
    assert instance.sockets.parent == elsewhere
    assert instance.sockets.is_dir()


def test_nobody_connects_to_a_directory_that_others_can_enter(instance: Instance, tmp_path: Path) -> None:
    instance.check_sockets()  # not there: nobody listens
    instance.prepare().check_sockets()
    instance.sockets.chmod(0o755)
    with pytest.raises(PermissionError, match="open to other users"):
        instance.check_sockets()
    with pytest.raises(SettingsError, match="open to other users"):
        find_target(instance=instance)
    instance.sockets.rmdir()
    instance.sockets.symlink_to(instance.journal)
    with pytest.raises(PermissionError, match="is not a directory"):
        check_private(instance.sockets)
    instance.sockets.unlink()


def test_socket_paths_are_short_whatever_the_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    instance = Instance(Path("/very") / ("long" * 60))
    for path in (instance.watchdog_bell, instance.manager_bell, instance.relay_bell):
        assert len(os.fsencode(path)) < 100
    assert Instance(Path("/another")).sockets != instance.sockets


def test_write_private_replaces_at_once(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_private(file, b"one")
    write_private(file, b"two", sync=True)
    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
