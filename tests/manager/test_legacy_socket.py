"""The second control socket: commands of the first version of the interface as methods, with what they meant then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
import zmq.asyncio
from manager_parts import open_state, rig

from jupyter_queueserver.api import Context
from jupyter_queueserver.api.first_version import COMMANDS, modern_request
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.addresses import FIRST_VERSION_CONTROL
from jupyter_queueserver.manager.control import ControlSocket
from jupyter_queueserver.manager.options import parse_options
from jupyter_queueserver.manager.replies import Answerer
from jupyter_queueserver.manager.settings import Settings, SettingsError

Ask = Callable[..., Awaitable[dict[str, Any]]]
STOP = {"item_type": "instruction", "name": "queue_stop"}


@contextlib.asynccontextmanager
async def door(folder: Path) -> AsyncIterator[Ask]:
    """Asks a manager with three queued plans at such a socket."""
    context = zmq.asyncio.Context()
    async with rig(open_state("a", "b", "c")) as made:
        answerer = Answerer(made.writer, lambda: Context(epoch="life", version="0", local_time=str))
        control = ControlSocket(context, f"ipc://{folder}/s", answerer, first_version=True)
        running = asyncio.create_task(control.run())
        client = context.socket(zmq.REQ)
        client.connect(control.address)

        async def ask(method: str, params: Any = None) -> dict[str, Any]:
            await client.send(codec.to_json({"method": method} | ({} if params is None else {"params": params})))
            return codec.from_json(await client.recv())

        try:
            yield ask
        finally:
            running.cancel()
            await control.close()
            context.destroy(linger=0)


def on_stage(folder: Path, work: Callable[[Ask], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), door(folder) as ask:
            await work(ask)

    asyncio.run(run())


def test_shared_names_and_own_names_are_understood(tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        assert (await ask("ping"))["items_in_queue"] == 3
        assert (await ask("queue_plan_get", {"pos": "front"}))["item"]["item_uid"] == "a"
        assert (await ask("queue_plan_get"))["item"]["item_uid"] == "c"
        assert (await ask("queue_plan_remove", {"pos": -2}))["item"]["item_uid"] == "b"
        assert (await ask("plans_allowed"))["success"] is True
        assert (await ask("queue_clear", {}))["success"] is True
        assert (await ask("queue_get"))["items"] == []

    on_stage(tmp_path, work)


def test_a_request_that_was_translated_before_is_taken_as_it_is(tmp_path: Path) -> None:
    """As `qserver -c` sends it; who says what is meant is believed."""
    for keep in (True, False):
        request = {"method": "re_stop", "params": {"keep_first": keep, "lock_key": "k"}}
        assert modern_request(request) == request
    assert modern_request({"method": "re_stop"}) == {"method": "re_stop", "params": {"keep_first": True}}

    async def work(ask: Ask) -> None:
        assert (await ask("re_stop", {"keep_first": True}))["error"]["code"] == "not_paused"

    on_stage(tmp_path, work)


def test_a_plan_is_added_in_the_name_of_such_a_client(tmp_path: Path) -> None:
    """Today's check of the plan comes first; the names are those of the refusing reply's own text."""

    async def work(ask: Ask) -> None:
        reply = await ask("queue_plan_add", {"plan": {"name": "unknown"}, "pos": -1})
        assert reply["success"] is False
        assert "'user': 'first-version client'" in reply["msg"]
        assert reply["item"]["item_type"] == "plan"

    on_stage(tmp_path, work)


def test_methods_of_today_keep_their_meaning(tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        added = await ask("queue_item_add", {"item": STOP, "pos": -1, "user": "me", "user_group": "primary"})
        assert added["success"] is True
        assert [item["name"] for item in (await ask("queue_get"))["items"]][-1] == "queue_stop"

    on_stage(tmp_path, work)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "missing_parameter"),
        ({"plan": 3}, "wrong_type"),
        ({"plan": {}, "item": {}}, "unsupported_parameters"),
        ({"plan": {}, "surplus": 1}, "unsupported_parameters"),
    ],
)
def test_wrong_parameters_are_refused_by_the_first_versions_names(params: dict[str, Any], code: str, tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        reply = await ask("queue_plan_add", params)
        assert (reply["success"], reply["error"]["code"]) == (False, code)
        assert "queue_plan_add" in reply["msg"] or code == "wrong_type"

    on_stage(tmp_path, work)


@pytest.mark.parametrize("method", ["nonsense", 3, None, ["ping"]])
def test_what_is_no_method_has_two_keys_as_everywhere(method: Any, tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        assert (await ask(method)).keys() == {"success", "msg"}

    on_stage(tmp_path, work)


@pytest.mark.parametrize("params", [3, "text", [1], True])
def test_parameters_that_are_no_object_are_refused(params: Any, tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        assert (await ask("queue_get", params))["success"] is False

    on_stage(tmp_path, work)


def test_each_command_stands_for_a_method_that_has_its_parameters() -> None:
    for command in COMMANDS.values():
        known = command.modern.parameter_names
        assert {*command.keys.values(), *command.always} <= set(known), command.name
        assert set(command.required) <= set(command.keys)
        assert list(command.keys)[len(command.keys) - len(command.required) :] == list(command.required)


def settings_of(*words: str, **environ: str) -> Settings:
    found = parse_options(["--data-dir", "/nowhere", *words], environ).settings
    assert found is not None
    return found


def test_the_option() -> None:
    assert settings_of().zmq_legacy_addr is None
    assert settings_of("--legacy").zmq_legacy_addr == FIRST_VERSION_CONTROL == "tcp://127.0.0.1:5555"
    assert settings_of("--legacy", "tcp://localhost:7000").zmq_legacy_addr == "tcp://127.0.0.1:7000"
    assert settings_of("--legacy", "--verbose").zmq_legacy_addr == FIRST_VERSION_CONTROL
    assert msgspec.json.decode(msgspec.json.encode(settings_of("--legacy")), type=Settings) == settings_of("--legacy")


def test_the_option_in_the_configuration_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_text("network:\n  zmq_legacy_addr: tcp://127.0.0.1:5555\n")
    assert settings_of("--config", str(file)).zmq_legacy_addr == "tcp://127.0.0.1:5555"
    assert settings_of("--config", str(file), "--private").zmq_legacy_addr is None


def test_it_is_not_open_to_the_network_by_accident(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SettingsError, match="--legacy"):
        settings_of("--legacy", "tcp://*:5555")
    with pytest.raises(SystemExit):
        settings_of("--legacy", "--private")
    assert "--legacy" in capsys.readouterr().err
