"""Where an instance is found and how its directories are protected."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_queueserver.instance import Instance, find_instance, write_private


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
