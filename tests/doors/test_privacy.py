"""What an instance leaves on the disk, in its processes and on the network: nothing for other users, no key for anybody."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from doors_stage import ALL_DOORS, listening, start
from harness import Server, until

from jupyter_queueserver.core.codec import python_json
from jupyter_queueserver.instance import read_runtime
from jupyter_queueserver.instance.secrecy import FOREIGN_SECRETS, OWN_SECRETS, without_secrets
from jupyter_queueserver.manager.option_table import OPTIONS
from jupyter_queueserver.manager.sealed import seal_secrets, take_secrets
from jupyter_queueserver.manager.settings import SettingsError
from jupyter_queueserver.programs import import_old

MakeServer = Callable[..., Server]
PRIVATE_KEY = zmq.curve_keypair()[1].decode()
LOCK_KEY, WRONG_KEY, EMERGENCY_KEY = "lock-key-of-ada", "wrong-key-of-bob", "emergency-key-of-all"
#: Every variable that may hold a key, each with a value of its own.
KEYS = {name: f"value-of-{name}" for name in sorted(FOREIGN_SECRETS)} | {
    "QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER": PRIVATE_KEY,
    "QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER": EMERGENCY_KEY,
}


def open_to_others(*tops: Path) -> list[str]:
    """Files, directories and sockets that somebody else might use."""
    found = []
    for path in (entry for top in tops for entry in (top, *top.rglob("*"))):
        mode = path.lstat().st_mode
        if mode & 0o077 and not stat.S_ISLNK(mode):
            found.append(f"{path} {stat.filemode(mode)}")
    return found


def texts(server: Server) -> dict[str, bytes]:
    """All that an instance keeps and says: files, command lines and environments of its processes, replies, events."""
    found = {str(path): path.read_bytes() for path in server.data_dir.rglob("*") if path.is_file()}
    for pid in server.processes():
        for name in ("cmdline", "environ"):
            found[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    for method in ("status", "history_get", "queue_get", "lock_info", "config_get", "permissions_get"):
        found[method] = python_json(server.call(method))
    found["events"] = python_json(server.events.log)
    return found


def story(server: Server, tmp_path: Path) -> None:
    """Somebody locks, somebody else tries with a wrong key, a plan prints its environment, one fails, a script runs."""
    assert server.events.next(1e12) is not None  # listens from here on
    server.open()
    server.ok("lock", lock_key=LOCK_KEY, user="ada", queue=True, environment=True)
    for method in ("queue_clear", "environment_close", "unlock"):
        reply = server.refused(method, lock_key=WRONG_KEY)
        assert WRONG_KEY not in str(reply)
        assert LOCK_KEY not in str(reply)
    for nonsense in ({"lock_key": [LOCK_KEY]}, {"lock_key": LOCK_KEY, "surplus": 1}):
        server.refused("queue_clear", **nonsense)
    script = "import os\nprint(sorted(os.environ.items()), flush=True)\n"
    server.ok("script_upload", script=script, lock_key=LOCK_KEY)
    server.wait_state("idle")
    item = {"item_type": "plan", "name": "fails", "kwargs": {"trace": str(tmp_path / "trace")}}
    server.call("queue_item_add", item=item, user="ada", user_group="primary", lock_key=LOCK_KEY)
    server.call("queue_start", lock_key=LOCK_KEY)
    server.wait_for(lambda status: status["items_in_queue"] == 0 and status["manager_state"] == "idle", "the plan's end")
    server.ok("unlock", lock_key=EMERGENCY_KEY)


@pytest.mark.parametrize("umask", [0o000, pytest.param(0o022, marks=pytest.mark.long)])
def test_nobody_else_sees_anything(new_server: MakeServer, tmp_path: Path, umask: int) -> None:
    server = new_server()
    start(server, *ALL_DOORS, "--saver", "none", "--use-ipython-kernel", "ON", umask=umask, **KEYS)
    story(server, tmp_path)
    assert open_to_others(server.data_dir, server.instance.sockets) == []
    console = b"".join(path.read_bytes() for path in server.instance.environments.glob("*/console.log"))
    assert b"'PATH'" in console, "the script has printed its environment"
    settings = str(server.data_dir / "settings.json")
    found = texts(server)
    for secret in (LOCK_KEY, WRONG_KEY, *KEYS.values()):
        holders = {name for name, text in found.items() if secret.encode() in text}
        assert holders <= {settings}, (secret, holders)
    server.events.find(lambda message: message.get("users"), "a change with the name of who asked for it")
    users = {name for message in server.events.log for name in message.get("users", {}).values()}
    assert users == {"ada"}, "changes say who asked for them, where it is known"
    assert PRIVATE_KEY.encode() in found[settings], "a manager that is started again needs it"
    assert Path(settings).stat().st_mode & 0o777 == 0o600
    server.stop()


@pytest.mark.long
def test_nobody_else_sees_the_databroker(new_server: MakeServer, tmp_path: Path) -> None:
    """The same with the embedded Databroker, whose key is in one file, and which answers nobody without it."""
    server = new_server()
    start(server, "--private", umask=0, **KEYS)
    story(server, tmp_path)
    item = {"item_type": "plan", "name": "takes_data", "kwargs": {}}
    if not server.call("queue_item_add", item=item, user="ada", user_group="primary")["success"]:
        server.ok("script_upload", script=DATA_PLAN, update_lists=True)
        server.wait_state("idle")
        server.ok("queue_item_add", item=item, user="ada", user_group="primary")
    server.ok("queue_start")
    folder = server.data_dir / "databroker"
    until((folder / "server.json").exists, "the Databroker", timeout=90)
    pid = next(pid for pid, words in server.processes().items() if "tiled_server" in words)
    assert {address.rpartition(":")[0] for address in listening(pid)} == {"127.0.0.1"}
    until((folder / "catalog.db").exists, "the catalog", timeout=60)
    assert open_to_others(server.data_dir, server.instance.sockets) == []
    key = (folder / "key").read_bytes()
    holders = {name for name, text in texts(server).items() if key in text}
    assert holders == {str(folder / "key"), str(folder / "server.json")}
    import http.client

    address = next(iter(listening(pid)))
    for headers in ({}, {"Authorization": "Apikey wrong"}):
        connection = http.client.HTTPConnection(address, timeout=20)
        connection.request("GET", "/api/v1/metadata/", headers=headers)
        assert connection.getresponse().status == 401
        connection.close()
    server.stop()


DATA_PLAN = """
import bluesky.plan_stubs as bps
def takes_data():
    yield from bps.open_run()
    yield from bps.close_run()
"""


FORKS = """
import os
child = os.fork()
if child == 0:
    print("the child prints", flush=True)
    os._exit(0)
os.waitpid(child, 0)
print("the parent prints", flush=True)
"""


def test_private_means_no_port_at_all(new_server: MakeServer) -> None:
    """As the extension starts it: no process of the instance listens by TCP, however it was configured otherwise."""
    server = new_server()
    runtime = start(server, "--private", "--saver", "none", QSERVER_ZMQ_CONTROL_ADDRESS_FOR_SERVER="tcp://127.0.0.1:0")
    server.open()
    assert (runtime.tcp_address, runtime.info_address) == (None, None)
    assert len(server.processes()) == 4
    server.ok("script_upload", script=FORKS)
    server.wait_state("idle")
    console = next(server.instance.environments.glob("*/console.log"))
    until(lambda: b"the child prints\nthe parent prints\n" in console.read_bytes(), "what a forked child prints")
    assert [(pid, found) for pid in server.processes() if (found := listening(pid))] == []
    assert "It is reached by this user's processes only." in (server.instance.logs / "watchdog.log").read_text()
    server.stop()


def test_on_request_the_loopback_interface_only(new_server: MakeServer) -> None:
    server = new_server()
    runtime = start(server, *ALL_DOORS, "--saver", "none")
    found = listening(runtime.manager.pid)
    assert len(found) == 3
    assert {address.rpartition(":")[0] for address in found} == {"127.0.0.1"}
    said = (server.instance.logs / "watchdog.log").read_text()
    assert f"It answers at {runtime.tcp_address} and tcp://127.0.0.1:" in said
    assert "to every user of this machine (--private: to this user's processes only)" in said
    assert f"Console text is published at {runtime.info_address}, to every user of this machine." in said
    server.stop()


def test_a_socket_file_of_the_users_choice_is_his_alone(new_server: MakeServer, tmp_path: Path) -> None:
    server = new_server()
    path = tmp_path / "control"
    start(server, f"--zmq-control-addr=ipc://{path}", "--saver", "none", umask=0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"It answers at ipc://{path}, to this user's processes" in (server.instance.logs / "watchdog.log").read_text()
    server.stop()
    assert read_runtime(server.instance) is None


def test_every_key_of_an_option_is_kept_from_children() -> None:
    """An option that is no flag but has a variable holds a secret: no other reason is known."""
    declared = {name for option in OPTIONS if not option.flags for name in option.variables}
    assert declared <= OWN_SECRETS
    assert {name for option in OPTIONS for name in option.variables} >= OWN_SECRETS - {import_old.VARIABLE}
    assert import_old.VARIABLE in OWN_SECRETS, "its address may hold a password"
    given = dict.fromkeys([*OWN_SECRETS, *FOREIGN_SECRETS, "PATH"], "x")
    assert set(without_secrets(given)) == {"PATH"}
    assert set(without_secrets(given, keep=OWN_SECRETS)) == {"PATH", *OWN_SECRETS}


def test_keys_through_a_pipe() -> None:
    name = "QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER"
    assert take_secrets(seal_secrets({name: "k\u00e9y", "PATH": "/bin", "JUPYTER_TOKEN": "t"})) == {name: "k\u00e9y"}
    assert take_secrets(None) == {}
    with pytest.raises(SettingsError, match="--secrets-fd"):
        take_secrets(10_000)
    with pytest.raises(OSError, match="too long"):
        seal_secrets({name: "x" * 20_000})
