"""How a manager is found, and talking to one that encrypts."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from jupyter_queueserver.client import Client, RequestTimeout, SettingsError, find_target
from jupyter_queueserver.core import codec
from jupyter_queueserver.instance import Identity, Runtime, identity_of, write_runtime
from jupyter_queueserver.instance.paths import DATA_DIR_VARIABLE

KEY = "k" * 40
DEAD = Identity(pid=2**22 - 1, started=1, boot_id="", namespace="")


def _runtime(place: Any, **fields: Any) -> Runtime:
    place.prepare()
    runtime = Runtime(
        **{
            "epoch": "e",
            "manager": identity_of(),
            "control_address": place.control_address,
            "events_address": place.events_address,
            "version": "0",
            "started": 0.0,
        }
        | fields
    )
    write_runtime(place, runtime)
    return runtime


@pytest.fixture
def at_home(place: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The instance of `place` is the one of this user."""
    monkeypatch.setattr("jupyter_queueserver.client.target.find_instance", lambda: place)
    return place


def test_an_instance_that_was_named_is_never_exchanged_for_another(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its manager does not run and another one may answer at the default port."""
    monkeypatch.setenv(DATA_DIR_VARIABLE, str(place.data_dir))
    assert find_target().control == place.control_address
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", "tcp://127.0.0.1:5555")
    assert find_target().control == "tcp://127.0.0.1:5555"


def test_without_anything_it_is_the_default_port(at_home: Any) -> None:
    target = find_target()
    assert (target.control, target.events) == ("tcp://localhost:60615", None)
    assert str(at_home.runtime_file) in target.origin


def test_the_running_manager_of_the_instance_comes_before_the_default(at_home: Any) -> None:
    _runtime(at_home)
    target = find_target()
    assert (target.control, target.events) == (at_home.control_address, at_home.events_address)


def test_the_variable_comes_before_the_instance(at_home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _runtime(at_home)
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", "tcp://127.0.0.1:5555")
    assert find_target().control == "tcp://127.0.0.1:5555"
    assert find_target(instance=at_home).control == at_home.control_address
    assert find_target("ipc:///given").control == "ipc:///given"


def test_a_dead_manager_counts_only_while_somebody_watches(at_home: Any) -> None:
    _runtime(at_home, manager=DEAD)
    assert find_target().control == "tcp://localhost:60615"
    _runtime(at_home, manager=DEAD, watchdog=identity_of())
    assert find_target().control == at_home.control_address


def test_a_given_instance_is_reached_at_its_private_address_before_it_runs(place: Any) -> None:
    target = find_target(instance=place)
    assert (target.control, target.events) == (place.control_address, place.events_address)


def test_the_tcp_address_of_the_instance_brings_its_events_and_its_key(at_home: Any) -> None:
    _runtime(at_home, tcp_address="tcp://127.0.0.1:7001", public_key=KEY)
    target = find_target("tcp://localhost:7001")
    assert (target.events, target.public_key) == (at_home.events_address, KEY)
    assert find_target("tcp://localhost:7002").events is None
    assert find_target(at_home.control_address, public_key=KEY).public_key is None  # private: never encrypted


def test_the_key_may_come_from_the_environment(at_home: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSERVER_ZMQ_PUBLIC_KEY", KEY)
    assert find_target("tcp://10.0.0.1:60615").public_key == KEY
    monkeypatch.setenv("QSERVER_ZMQ_PUBLIC_KEY", "")
    assert find_target("tcp://10.0.0.1:60615").public_key is None


@pytest.mark.parametrize("key", ["short", "k" * 41, "k" * 39 + " ", "k" * 39 + "ü"])
def test_a_malformed_key_is_refused(place: Any, key: str) -> None:
    with pytest.raises(SettingsError, match="40 characters"):
        find_target(public_key=key)


@pytest.mark.parametrize("address", ["", "60615", "localhost:60615", "tcp://host", "http://host:1", "tcp://a b:1", "ipc://"])
def test_a_malformed_address_is_refused(place: Any, address: str) -> None:
    with pytest.raises(SettingsError, match="is no address"):
        find_target(address)


def test_an_unknown_encoding_is_refused(place: Any) -> None:
    with pytest.raises(SettingsError, match="msgpack"):
        Client(instance=place, encoding="yaml")  # type: ignore[arg-type]


def _answer_encrypted(socket: zmq.Socket[bytes], asked: int) -> None:
    for _ in range(asked):
        request = codec.from_json(socket.recv())
        socket.send(codec.to_json({"success": True, "msg": request["method"]}))


def test_an_encrypted_manager_answers_only_to_who_knows_its_key(place: Any) -> None:
    public, secret = zmq.curve_keypair()
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        server = threading.Thread(target=_answer_encrypted, args=(socket, 1))
        server.start()
        address = f"tcp://127.0.0.1:{port}"
        other, _ = zmq.curve_keypair()
        for key in (None, other.decode()):
            with Client(address, public_key=key, timeout=0.1) as stranger, pytest.raises(RequestTimeout) as caught:
                stranger.call("ping")
            assert ("QSERVER_ZMQ_PUBLIC_KEY" in str(caught.value)) is (key is None)
        with Client(address, public_key=public.decode()) as client:
            assert client.call("ping") == {"success": True, "msg": "ping"}
        server.join(5)


def test_a_target_is_looked_up_again_after_a_timeout(at_home: Any, request: pytest.FixtureRequest) -> None:
    elsewhere = f"ipc://{at_home.data_dir}/other"
    _runtime(at_home, control_address=elsewhere)
    with Client(timeout=0.1) as client:
        with pytest.raises(RequestTimeout, match="other"):
            client.status()
        request.getfixturevalue("manager")
        _runtime(at_home)
        client.timeout = 2.0
        assert client.status()["manager_state"] == "idle"


def test_an_unreadable_runtime_file_is_as_none(at_home: Any) -> None:
    at_home.prepare()
    for content in (b"", b"{", msgspec.json.encode({"epoch": 3})):
        at_home.runtime_file.write_bytes(content)
        assert find_target().control == "tcp://localhost:60615"
    at_home.runtime_file.unlink()
    Path(at_home.runtime_file).mkdir()
    assert find_target().control == "tcp://localhost:60615"
    shutil.rmtree(at_home.data_dir)
    assert not os.path.exists(at_home.runtime_file)
