"""Where the worker's kernel listens, and the copy of its connection file."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link.connection import choose_connection, copy_path, free_ports, own_address, place_copy, remove_copy
from jupyter_queueserver.link.environment import StartupSource, new_record
from jupyter_queueserver.link.kernel_options import CHANNELS, KernelOptions
from jupyter_queueserver.link.launch import sweep_sockets, write_connection_file


def test_private_sockets_unless_an_address_is_wished() -> None:
    info = choose_connection(KernelOptions(), "/run/k1")
    assert (info.transport, info.address(info.shell_port)) == ("ipc", "ipc:///run/k1-1")
    assert info.key != choose_connection(KernelOptions(), "/run/k1").key


def test_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        wished = free.getsockname()[1]
    info = choose_connection(KernelOptions(ip="127.0.0.1", hb_port=wished), "/run/k1")
    assert (info.transport, info.ip, info.hb_port) == ("tcp", "127.0.0.1", wished)
    assert len({getattr(info, f"{channel}_port") for channel in CHANNELS}) == 5
    assert info.socket_files() == []


def test_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"shell channel cannot use 127.0.0.1:{port}"):
            free_ports("127.0.0.1", {"shell": port, "hb": 0})
    with pytest.raises(OSError, match="hb channel"):
        free_ports("127.0.0.1", {"shell": port, "hb": port})


def test_own_address_is_one_of_this_machine() -> None:
    with socket.socket() as probe:
        probe.bind((own_address(), 0))


@pytest.mark.parametrize(("given", "backend"), [(None, None), ("qt5", "qt5agg"), ("agg", "agg"), ("osx", "macosx")])
def test_backend(given: str | None, backend: str | None) -> None:
    assert KernelOptions(matplotlib=given).backend == backend


def test_path_of_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    assert copy_path(None, None, "e") is None
    assert copy_path("k.json", None, "e") == str(tmp_path / "k.json")
    assert copy_path(None, "/d", "e") == "/d/kernel-e.json"
    assert copy_path("k.json", "/d", "e") == "/d/k.json"
    assert copy_path("/x/k.json", "/d", "e") == "/x/k.json"


def test_copy_lives_as_long_as_the_environment(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").prepare_data()
    copy = tmp_path / "runtime" / "k.json"
    record = new_record(instance, StartupSource(kind="dir", value="x"), kernel=KernelOptions(connection_copy=str(copy)))
    Path(record.directory).mkdir()
    write_connection_file(instance, record)
    assert copy.read_bytes() == Path(record.connection_file).read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    sweep_sockets(record)
    assert not copy.exists()


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    info, later = (choose_connection(KernelOptions(), "/run/k1") for _ in range(2))
    copy = tmp_path / "k.json"
    place_copy(str(copy), info)
    place_copy(str(copy), later)  # of an environment whose end nobody saw
    remove_copy(str(copy), info)
    assert json.loads(copy.read_text())["key"] == later.key
    remove_copy(str(copy), later)
    assert not copy.exists()
    copy.write_text("notes of somebody")
    with pytest.raises(OSError, match="choose another name"):
        place_copy(str(copy), info)
    assert copy.read_text() == "notes of somebody"
