"""The small parts: outbox, activity, options, the keeper of the manager."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gateway_manager import FakeManager

from jupyter_queueserver.gateway import keeper as keeper_module
from jupyter_queueserver.gateway import launch, subscription
from jupyter_queueserver.gateway.activity import SETTING, Activity
from jupyter_queueserver.gateway.extension import QueueServerExtension
from jupyter_queueserver.gateway.keeper import ManagerKeeper
from jupyter_queueserver.gateway.outbox import Outbox
from jupyter_queueserver.instance import Instance, Runtime, identity_of, read_runtime, write_runtime
from jupyter_queueserver.instance.launch import LaunchError

LIMIT = 60.0


def test_an_outbox_keeps_order_and_drops_all_when_it_is_full() -> None:
    box = Outbox(max_messages=3, max_bytes=100)
    for text in (b"a", b"b", b"c"):
        box.put(text)
    assert [box.take(), len(box)] == [b"a", 2]
    for text in (b"d", b"e", b"f"):
        box.put(text)
    assert (len(box), box.overflowed) == (0, True)
    box.restart()
    box.put(b"g")
    assert box.take() == b"g"


def test_an_outbox_counts_bytes_but_takes_one_message_of_any_size() -> None:
    box = Outbox(max_messages=9, max_bytes=100)
    box.put(b"x" * 500)
    assert (len(box), box.overflowed) == (1, False)
    box.put(b"y")
    assert (len(box), box.overflowed) == (0, True)


def test_activity_follows_the_status() -> None:
    settings: dict[str, Any] = {}
    activity = Activity(settings)
    activity.see(b'{"manager_state":"idle","re_state":"idle"}')
    assert (activity.current, settings) == (None, {})
    activity.see(b'{"manager_state":"paused","re_state":"paused"}')
    assert activity.current == {"queue": "paused"}
    first = settings[SETTING]
    activity.beat()
    assert settings[SETTING] > first
    activity.see(b"nonsense")
    assert activity.current == {"queue": "paused"}
    activity.see(b'{"manager_state":"idle","re_state":null}')
    last = settings[SETTING]
    activity.beat()
    assert (activity.current, settings[SETTING]) == (None, last)


async def until(condition: Any) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - conditions of all kinds
            await asyncio.sleep(0.005)


async def test_a_running_queue_keeps_the_server(
    jp_serverapp: Any, extension: QueueServerExtension, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[str] = []
    monkeypatch.setattr(jp_serverapp, "stop", lambda: stops.append("stop"))
    jp_serverapp.shutdown_no_activity_timeout = 1
    web = jp_serverapp.web_app
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    web.settings["started"] = web.settings["kernel_manager"].last_kernel_activity = long_ago
    web.settings.pop("api_last_activity", None)

    await until(lambda: manager.peers)
    manager.show(manager_state="executing_queue")
    await until(extension.current_activity)
    assert (datetime.datetime.now(datetime.UTC) - web.last_activity()).total_seconds() < LIMIT
    web.settings[SETTING] = long_ago  # even without the time of the last activity
    jp_serverapp.shutdown_no_activity()
    assert stops == []

    manager.show(manager_state="idle")
    await until(lambda: extension.current_activity() is None)
    assert web.settings[SETTING] > long_ago  # the end of the queue was an activity too
    web.settings[SETTING] = long_ago
    jp_serverapp.shutdown_no_activity()
    assert stops == ["stop"]


async def test_a_silent_manager_is_reported_once(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, manager: FakeManager
) -> None:
    import zmq.asyncio

    monkeypatch.setattr(subscription, "LOST_AFTER", 0.02)
    monkeypatch.setattr(subscription, "KEEP_ALIVE", 0.01)
    context = zmq.asyncio.Context()
    listening = subscription.Subscription(context, f"ipc://{instance.sockets}/nobody", subscription.Position(topics=("state",)))
    messages = listening.messages()
    assert (await asyncio.wait_for(anext(messages), LIMIT)).text == b'{"kind":"lost"}'
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(messages), 0.1)
    listening.close()
    context.destroy(linger=0)


def runtime_of(pid: int | None = None) -> Runtime:
    return Runtime(
        epoch="e", manager=identity_of(pid), control_address="ipc://c", events_address="ipc://e", version="0", started=0.0
    )


class Launches:
    """A fake of `ensure_manager`: a harmless process is the manager."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.calls: list[tuple[list[str], bool]] = []
        self.failure = ""
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, instance: Instance, options: list[str], timeout: float, *, force: bool) -> Runtime:
        self.calls.append((options, force))
        if self.failure:
            raise LaunchError(self.failure)
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.processes.append(process)
        runtime = runtime_of(process.pid)
        write_runtime(instance, runtime)
        return runtime

    def end(self) -> None:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.close()
            process.kill()
            process.wait()


@pytest.fixture
def launches(instance: Instance) -> Any:
    instance.prepare()
    found = Launches(instance)
    yield found
    found.end()


def keep(instance: Instance, launches: Launches) -> ManagerKeeper:
    log = logging.getLogger("test")
    return ManagerKeeper(instance, ["--private"], log, launch=launches, look_every=0.01, grace=0.02)


async def test_the_keeper_starts_a_manager_and_starts_it_again(instance: Instance, launches: Launches) -> None:
    keeper = keep(instance, launches)
    keeper.start()
    await until(lambda: keeper.started_it)
    assert launches.calls == [(["--private"], True)]
    launches.processes[0].kill()
    await until(lambda: len(launches.calls) == 2)
    assert launches.calls[1] == (["--private"], False)
    await until(lambda: keeper.reason == "")
    await keeper.stop()


async def test_the_keeper_leaves_a_stopped_manager_alone(instance: Instance, launches: Launches) -> None:
    keeper = keep(instance, launches)
    keeper.start()
    await until(lambda: keeper.started_it)
    instance.stopped_mark.touch()
    launches.processes[0].kill()
    await until(lambda: "on purpose" in keeper.reason)
    await keeper.stop()
    assert len(launches.calls) == 1


async def test_the_keeper_says_why_there_is_no_manager(instance: Instance, launches: Launches) -> None:
    launches.failure = "The disk is full."
    keeper = keep(instance, launches)
    keeper.start()
    await until(lambda: keeper.reason == "The disk is full.")
    await keeper.stop()
    assert not keeper.started_it


def counted_looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with each look of a keeper."""
    looks: list[int] = []

    def read(instance: Instance) -> Runtime | None:
        looks.append(1)
        return read_runtime(instance)

    monkeypatch.setattr(keeper_module, "read_runtime", read)
    return looks


async def test_a_refused_start_waits_for_a_user_and_is_said_once(
    instance: Instance, launches: Launches, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "test" and "No manager" in record.getMessage()]

    looks = counted_looks(monkeypatch)
    launches.failure = "start-re-manager: The store is damaged.\nLast lines of the log:\n22:57:01 CRITICAL damaged"
    keeper = keep(instance, launches)
    keeper.start()
    await until(lambda: len(looks) > 10)
    assert len(launches.calls) == 1
    launches.failure = launches.failure.replace("22:57:01", "22:57:02")
    keeper.try_again()
    await until(lambda: len(launches.calls) == 2)
    seen = len(looks)
    await until(lambda: len(looks) > seen + 10)
    assert (len(launches.calls), len(said()), keeper.reason) == (2, 1, "The store is damaged.")
    launches.failure = "start-re-manager: The disk is full."
    keeper.try_again()
    await until(lambda: len(said()) == 2)
    launches.failure = ""
    keeper.try_again()
    await until(lambda: keeper.started_it)
    assert keeper.reason == ""
    await keeper.stop()


async def test_a_manager_that_had_worked_is_tried_again_and_again(
    instance: Instance, launches: Launches, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(keeper_module, "_FIRST_RETRY", 0.01)
    keeper = keep(instance, launches)
    keeper.start()
    await until(lambda: keeper.started_it)
    launches.failure = "The disk is full."
    launches.processes[0].kill()
    await until(lambda: len(launches.calls) > 3)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == ["No manager: The disk is full."]
    launches.failure = ""
    await until(lambda: len(launches.processes) == 2)
    await keeper.stop()


async def test_options_that_are_not_applied_are_named(
    instance: Instance, launches: Launches, caplog: pytest.LogCaptureFixture
) -> None:
    launches(instance, [], 0.0, force=False)  # it runs already
    log = logging.getLogger("test")
    keeper = ManagerKeeper(instance, ["--private"], log, given=["--startup-dir", "/s"], launch=launches)
    keeper.start()
    await until(lambda: keeper.reason == "")
    await keeper.stop()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert warnings[0].endswith("not applied until it is started again: --startup-dir /s")


def test_our_options_become_traits_and_the_rest_is_jupyters() -> None:
    given, rest = launch.make_parser().parse_known_args(
        ["--data-dir", "/d", "--port", "0", "--manager-option=--saver", "--manager-option=none", "--startup-dir=s"]
    )
    assert rest == ["--port", "0"]
    assert launch.trait_words(vars(given)) == [
        "--QueueServerExtension.end_manager=always",
        "--QueueServerExtension.data_dir=/d",
        "--QueueServerExtension.startup_dir=s",
        "--QueueServerExtension.manager_options=--saver",
        "--QueueServerExtension.manager_options=none",
    ]


def test_the_options_of_the_manager_it_starts() -> None:
    extension = QueueServerExtension(startup_dir="/s", use_ipython_kernel=False, manager_options=["--store", "memory"])
    assert extension.start_options() == [
        "--private", "--use-ipython-kernel", "OFF", "--startup-dir", "/s", "--store", "memory",
    ]  # fmt: skip


def test_loading_the_gateway_loads_no_science() -> None:
    code = (
        "import sys, json, jupyter_queueserver.gateway.launch\n"
        "print(json.dumps([n for n in ('bluesky', 'ophyd', 'numpy', 'databroker', 'tiled') if n in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize("words", [[], ["--ServerApp.default_url=/lab"]])
def test_the_program_leads_to_the_page(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    app = launch.QueueServerApp()
    fixed = ["--ServerApp.base_url=/a/b/", "--port=8899", "--ServerApp.open_browser=False"]
    app.initialize([*fixed, *words], find_extensions=False, new_httpserver=False)
    token = app.identity_provider.token
    assert len(token) > 20
    assert app.page_url == f"http://127.0.0.1:8899/a/b/queueserver?token={token}"
    assert app.default_url == ("/a/b/lab" if words else "/a/b/queueserver")
