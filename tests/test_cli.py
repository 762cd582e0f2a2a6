"""`qserver`: what each command sends, what is printed, and the exit status."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from jupyter_queueserver.api import methods
from jupyter_queueserver.cli import program as cli
from jupyter_queueserver.cli.shapes import SHAPES, CommandError
from jupyter_queueserver.core import codec

PLAN = "{'name': 'count', 'args': [['det1']], 'kwargs': {'num': 3, 'md': None, 'x': True}}"
ITEM = {**ast.literal_eval(PLAN), "item_type": "plan"}
STOP = {"item_type": "instruction", "name": "queue_stop"}
UID = "7d1b3a2c-1111-4222-8333-944444444444"

#: command words, method, parameters without identity, whether the lock key is forwarded
ROWS: list[tuple[list[str], str, dict[str, Any], bool]] = [
    (["ping"], "ping", {}, False),
    (["status"], "status", {}, False),
    (["config"], "config_get", {}, False),
    (["environment", "open"], "environment_open", {}, True),
    (["environment", "close"], "environment_close", {}, True),
    (["environment", "destroy"], "environment_destroy", {}, True),
    (["existing", "plans"], "plans_existing", {}, False),
    (["existing", "devices"], "devices_existing", {}, False),
    (["allowed", "plans"], "plans_allowed", {}, False),
    (["allowed", "devices"], "devices_allowed", {}, False),
    (["queue", "add", "plan", PLAN], "queue_item_add", {"item": ITEM}, True),
    (["queue", "add", "plan", "front", PLAN], "queue_item_add", {"item": ITEM, "pos": "front"}, True),
    (["queue", "add", "plan", "back", PLAN], "queue_item_add", {"item": ITEM, "pos": "back"}, True),
    (["queue", "add", "plan", "2", PLAN], "queue_item_add", {"item": ITEM, "pos": 2}, True),
    (["queue", "add", "plan", "-1", PLAN], "queue_item_add", {"item": ITEM, "pos": -1}, True),
    (["queue", "add", "plan", "before", UID, PLAN], "queue_item_add", {"item": ITEM, "before_uid": UID}, True),
    (["queue", "add", "plan", "after", UID, PLAN], "queue_item_add", {"item": ITEM, "after_uid": UID}, True),
    (["queue", "add", "instruction", "queue-stop"], "queue_item_add", {"item": STOP}, True),
    (["queue", "add", "instruction", "front", "queue-stop"], "queue_item_add", {"item": STOP, "pos": "front"}, True),
    (["queue", "get"], "queue_get", {}, False),
    (["queue", "clear"], "queue_clear", {}, True),
    (["queue", "start"], "queue_start", {}, True),
    (["queue", "stop"], "queue_stop", {}, True),
    (["queue", "stop", "cancel"], "queue_stop_cancel", {}, True),
    (["queue", "item", "get"], "queue_item_get", {}, False),
    (["queue", "item", "get", "front"], "queue_item_get", {"pos": "front"}, False),
    (["queue", "item", "get", "-1"], "queue_item_get", {"pos": -1}, False),
    (["queue", "item", "get", UID], "queue_item_get", {"uid": UID}, False),
    (["queue", "item", "remove"], "queue_item_remove", {}, True),
    (["queue", "item", "remove", "back"], "queue_item_remove", {"pos": "back"}, True),
    (["queue", "item", "remove", "3"], "queue_item_remove", {"pos": 3}, True),
    (["queue", "item", "remove", UID], "queue_item_remove", {"uid": UID}, True),
    (["queue", "item", "move", "back", "front"], "queue_item_move", {"pos": "back", "pos_dest": "front"}, True),
    (["queue", "item", "move", "0", "-2"], "queue_item_move", {"pos": 0, "pos_dest": -2}, True),
    (["queue", "item", "move", UID, "5"], "queue_item_move", {"uid": UID, "pos_dest": 5}, True),
    (["queue", "item", "move", "1", "before", UID], "queue_item_move", {"pos": 1, "before_uid": UID}, True),
    (["queue", "item", "move", UID, "after", UID], "queue_item_move", {"uid": UID, "after_uid": UID}, True),
    (["re", "pause"], "re_pause", {"option": "deferred"}, True),
    (["re", "pause", "deferred"], "re_pause", {"option": "deferred"}, True),
    (["re", "pause", "immediate"], "re_pause", {"option": "immediate"}, True),
    (["re", "resume"], "re_resume", {}, True),
    (["re", "stop"], "re_stop", {}, True),
    (["re", "abort"], "re_abort", {}, True),
    (["re", "halt"], "re_halt", {}, True),
    (["re", "runs"], "re_runs", {"option": "active"}, False),
    (["re", "runs", "open"], "re_runs", {"option": "open"}, False),
    (["history", "get"], "history_get", {}, False),
    (["history", "get", "whatever"], "history_get", {}, False),
    (["history", "clear"], "history_clear", {}, True),
    (["history", "clear", "10"], "history_clear", {"size": 10}, True),
    (["history", "clear", UID], "history_clear", {"item_uid": UID}, True),
    (["manager", "stop"], "manager_stop", {}, False),
    (["manager", "stop", "safe", "on"], "manager_stop", {"option": "safe_on"}, False),
    (["manager", "stop", "safe", "off"], "manager_stop", {"option": "safe_off"}, False),
    (["manager", "kill", "test"], "manager_kill", {}, False),
]
_NAMES = [" ".join(words)[:40] for words, *_ in ROWS]


@pytest.mark.parametrize(("words", "method", "params", "has_lock"), ROWS, ids=_NAMES)
def test_what_a_command_sends(words: list[str], method: str, params: dict[str, Any], has_lock: bool) -> None:
    found, read = cli.read_command(words)
    assert (found.name, read) == (method, params)
    found, read = cli.read_command(words, "key")
    assert read == params | ({"lock_key": "key"} if has_lock else {})


def test_every_method_with_words_is_in_the_table_and_has_a_known_shape() -> None:
    named = {method.name for method in methods().values() if method.words}
    assert {method.shape for method in methods().values()} <= SHAPES.keys()
    assert named == {method for _, method, *_ in ROWS}


WRONG = [
    ["queue", "add"],
    ["queue", "add", "plan"],
    ["queue", "add", "plan", "{'a': true}"],
    ["queue", "add", "plan", "{'a': null}"],
    ["queue", "add", "plan", "[1, 2]"],
    ["queue", "add", "plan", "{'a': {1, 2}}"],
    ["queue", "add", "plan", "{'a': __import__('os').getcwd()}"],
    ["queue", "add", "plan", "(" * 5000],
    ["queue", "add", "plan", "middle", PLAN],
    ["queue", "add", "plan", "before", PLAN],
    ["queue", "add", "plan", "1", PLAN, "more"],
    ["queue", "add", "scan", PLAN],
    ["queue", "add", "instruction", "queue_jump"],
    ["queue", "get", "more"],
    ["queue", "item", "get", "1", "2"],
    ["queue", "item", "move", "1"],
    ["queue", "item", "move", "1", UID],
    ["queue", "item", "move", "1", "before"],
    ["re", "pause", "later"],
    ["re", "runs", "all"],
    ["history", "clear", "1", "2"],
    ["manager", "stop", "safe"],
    ["manager", "stop", "safely", "on"],
    ["status", "now"],
    ["nonsense"],
    ["queue"],
]


@pytest.mark.parametrize("words", WRONG, ids=[" ".join(words)[:40] for words in WRONG])
def test_wrong_words_are_refused_before_anything_is_sent(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError):
        cli.read_command(words)
    assert cli.main([*words, "-a", "ipc:///nowhere"]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"Arguments: {words}\n"
    assert captured.err.startswith("ERROR:jupyter_queueserver.cli:Invalid command or parameters: ")
    assert captured.err.endswith(".\n")


@pytest.mark.parametrize(
    ("given", "meant"), [("enviroment open", "environment open"), ("queue begin", "queue add"), ("stats", "status")]
)
def test_an_unknown_command_names_what_is_near(given: str, meant: str) -> None:
    with pytest.raises(CommandError, match=meant):
        cli.read_command(given.split())


class Recorder:
    """Answers every request with `reply` and keeps what was asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[Any] = []
        self.reply: dict[str, Any] = {"success": True, "msg": ""}
        self.decode: Callable[[bytes], Any] = codec.from_json
        self.encode: Callable[[Any], bytes] = codec.to_json
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.REP)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while (frame := self._socket.recv()) != b"end":
            self.asked.append(self.decode(frame))
            self._socket.send(self.encode(self.reply))

    def close(self) -> None:
        """End the thread."""
        with self._context.socket(zmq.REQ) as last:
            last.setsockopt(zmq.LINGER, 1000)
            last.connect(self.address)
            last.send(b"end")
            self._thread.join(5)
        self._context.destroy(linger=0)


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """A recorder that is found by the environment variable."""
    for name in ("QSERVER_ZMQ_PUBLIC_KEY", "QSERVER_ZMQ_ENCODING", "JUPYTER_QUEUESERVER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = Recorder(f"ipc://{tmp_path}/s")
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", made.address)
    yield made
    made.close()


def _message(printed: str, words: list[str]) -> Any:
    """Read what was printed: the first line, the stamp, then a Python literal."""
    first, stamp, literal = printed.split("\n", 2)
    assert first == f"Arguments: {words}"
    assert re.fullmatch(r"\d\d:\d\d:\d\d - MESSAGE: ", stamp)
    return ast.literal_eval(literal)


def test_the_reply_is_printed_as_a_literal(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.reply = {"success": True, "msg": "", "qsize": 1, "item": ITEM}
    words = ["queue", "add", "plan", PLAN]
    assert cli.main(words) == 0
    assert _message(capsys.readouterr().out, words) == recorder.reply
    params = {"item": ITEM, "user": "qserver-cli", "user_group": "primary"}
    assert recorder.asked == [{"method": "queue_item_add", "params": params}]


def test_a_refusal_is_printed_too_and_gives_2(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.reply = {"success": False, "msg": "Failed", "error": {"code": "c", "hint": "h", "path": ""}}
    assert cli.main(["queue", "start"]) == 2
    assert _message(capsys.readouterr().out, ["queue", "start"]) == recorder.reply


def test_a_status_without_success_is_a_success(recorder: Recorder) -> None:
    recorder.reply = {"msg": "RE Manager v0", "manager_state": "idle"}
    assert cli.main(["status"]) == 0


def test_descriptions_are_abbreviated_for_people_only(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.reply = {"success": True, "msg": "", "plans_allowed": {"count": {"name": "count"}}}
    assert cli.main(["allowed", "plans"]) == 0
    assert _message(capsys.readouterr().out, ["allowed", "plans"])["plans_allowed"] == {"count": "{...}"}
    assert cli.main(["allowed", "plans", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == recorder.reply
    assert recorder.asked[0]["params"] == {"user_group": "primary"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["-k", "key", "queue", "item", "remove", "-1"],
        ["queue", "-k", "key", "item", "remove", "-1"],
        ["queue", "item", "remove", "-1", "--lock-key", "key"],
        ["queue", "item", "remove", "-1", "--lock-key=key"],
    ],
)
def test_options_may_stand_anywhere(recorder: Recorder, arguments: list[str]) -> None:
    assert cli.main(arguments) == 0
    assert recorder.asked == [{"method": "queue_item_remove", "params": {"pos": -1, "lock_key": "key"}}]


@pytest.mark.parametrize("option", ["-a", "--zmq-control-addr", "--address"])
def test_an_address_option_beats_the_variable(recorder: Recorder, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", "ipc:///nowhere")
    assert cli.main(["ping", option, recorder.address]) == 0
    assert len(recorder.asked) == 1


def test_msgpack_is_spoken_when_asked_for(recorder: Recorder) -> None:
    recorder.decode, recorder.encode = codec.from_msgpack, codec.to_msgpack
    assert cli.main(["ping", "--zmq-encoding", "MsgPack"]) == 0
    assert recorder.asked == [{"method": "ping", "params": {}}]


def test_an_answer_in_another_encoding_gives_3(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.encode = codec.to_msgpack
    assert cli.main(["ping"]) == 3
    captured = capsys.readouterr()
    assert re.search(r"^\d\d:\d\d:\d\d - ERROR: ZMQ communication error: .*encoding", captured.out, re.MULTILINE)
    assert "Traceback" in captured.err


def test_no_answer_gives_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "Client", lambda *args, **kwargs: _Impatient(*args, **kwargs))
    assert cli.main(["ping", "-a", "ipc:///nowhere"]) == 3
    assert "ZMQ communication error: timeout occurred" in capsys.readouterr().out
    assert cli.main(["ping", "-a", "ipc:///nowhere", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_answer"


class _Impatient(cli.Client):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, timeout=0.05)


@pytest.mark.parametrize(
    "arguments", [[], ["-c", "status"], ["--no-such-option", "status"], ["-a"], ["--zmq-enc", "json", "ping"]]
)
def test_wrong_options_give_2_and_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: qserver [options] <command>")
    assert captured.out == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-h"]) == 0
    printed = capsys.readouterr().out
    assert [each.words for each in methods().values() if each.words not in printed] == []
    assert "re pause [deferred|immediate]" in printed


def test_a_bad_public_key_gives_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("QSERVER_ZMQ_PUBLIC_KEY", "too short")
    assert cli.main(["ping", "-a", "tcp://127.0.0.1:9"]) == 1
    assert "40 characters" in capsys.readouterr().err


def test_an_empty_lock_key_and_a_bad_address_give_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["queue", "clear", "-k", ""]) == 1
    assert cli.main(["ping", "-a", "localhost:60615"]) == 1
    assert cli.main(["ping", "-a", "localhost:60615", "--json"]) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"]["code"] == "invalid_command"


def test_an_unknown_encoding_gives_4_with_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ping", "--zmq-encoding", "yaml"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_the_monitor_pings_until_ctrl_c(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pause(seconds: float) -> None:
        if len(recorder.asked) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli.time, "sleep", pause)
    assert cli.main(["monitor"]) == 0
    printed = capsys.readouterr().out
    assert "Running QServer monitor. Press Ctrl-C to exit ...\n" in printed
    assert printed.count(" - MESSAGE: \n") == 3
    assert [request["method"] for request in recorder.asked] == ["ping"] * 3
