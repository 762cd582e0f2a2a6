"""`qserver`: options, what is printed, and the exit status."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_recorder import Recorder

from jupyter_queueserver.cli import program as cli
from jupyter_queueserver.cli.commands import commands
from jupyter_queueserver.core import codec

PLAN = "{'name': 'count', 'args': [['det1']], 'kwargs': {'num': 3, 'md': None, 'x': True}}"
ITEM = {**ast.literal_eval(PLAN), "item_type": "plan"}
PROGRAM = [sys.executable, "-m", "jupyter_queueserver", "qserver"]


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
    "arguments",
    [[], ["--no-such-option", "status"], ["-a"], ["--zmq-enc", "json", "ping"], ["ping", "--format", "xml"], ["ping", "-p", "1"]],
)
def test_wrong_options_give_2_and_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("usage: qserver [options] <command>")
    assert captured.out == ""


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-h"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in commands() if f"  {name}" not in printed] == []
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


def test_a_command_that_is_only_begun_gives_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["permissions"]) == 1
    assert "permissions get" in capsys.readouterr().err


@pytest.mark.parametrize("lines", [0, 1])
def test_stdout_closed_early_gives_4(recorder: Recorder, lines: int) -> None:
    with subprocess.Popen(
        [*PROGRAM, "ping"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for _ in range(lines):
            running.stdout.readline()
        running.stdout.close()
        complaints = running.stderr.read()
        assert running.wait(30) == 4
    assert b"Exception ignored" not in complaints


@pytest.mark.parametrize("words", [["queue", "start"], ["monitor"]])
def test_stdout_closed_from_the_start_gives_4_and_sends_nothing(recorder: Recorder, words: list[str]) -> None:
    command = shlex.join([*PROGRAM, *words])
    done = subprocess.run(["/bin/sh", "-c", f"{command} >&-"], stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (4, "qserver: stdout is closed. Nothing was sent.\n")
    assert recorder.asked == []


@pytest.mark.parametrize("form", ["text", "table"])
def test_a_refused_mode_names_the_words_of_python(recorder: Recorder, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.reply = {"success": False, "msg": "Unsupported type", "error": {"code": "c", "hint": "Send true.", "path": ""}}
    assert cli.main(["queue", "mode", "set", "loop", "true", "--format", form]) == 2
    assert "for qserver write True, as in Python: loop True\n" in capsys.readouterr().err
    assert cli.main(["queue", "mode", "set", "loop", "1", "--format", form]) == 2
    assert "for qserver" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["queue", "add", "plan", "front"], "the item is missing behind 'front'; use: queue add plan [front|back|<int>] <item>"),
        (["queue", "add", "plan", "before", "u"], "'queue add' does not take 'plan before u'; use: "),
        (["queue", "add", "plan", "{'a': true}"], "write True, not true"),
        (["queue", "add", "plan", "{'a': [null]}"], "write None, not null"),
        (["queue", "add", "plan", "{'name': count}"], "the text count needs quotes"),
        (["queue", "add", "plan", "{'a': 1 * 2}"], "only values may stand there, nothing to compute"),
        (["queue", "add", "plan", "{'a': 1"], "'{' was never closed"),
        (["queue", "add", "plan", "(" * 5000], "nested"),
        (["-c", "queue_plan_add", "-p", "front"], "the plan is missing behind 'front'; use: -c queue_plan_add -p "),
        (["-c", "queue_plan_add", "-p", "-1"], "the plan is missing behind '-1'"),
        (["-c", "monitor", "-p", "x"], "'monitor' takes no parameters; use: -c monitor"),
        (["-c", "queue_plan_add", "-p", "{'name': count}"], "the text count needs quotes"),
    ],
)
def test_what_is_wrong_with_words_is_said_plainly(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 1
    err = capsys.readouterr().err
    assert text in err
    assert "ast." not in err
    assert "malformed" not in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("-c ping -c status", "one command at a time: ping, status"),
        ("-c ping x", "parameters of -c stand behind -p: x"),
    ],
)
def test_a_wrong_line_of_the_first_version_gives_2(words: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "table", "json"])
def test_what_stdout_cannot_encode_is_escaped(recorder: Recorder, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder.reply = {"success": True, "msg": "größer \ud800", "note": "→"}
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [*PROGRAM, "queue", "add", "plan", "{'name': 'größer'}", "--format", form]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gr\\xf6" in done.stdout or b"gr\\u00f6" in done.stdout


def test_a_full_disk_gives_4(recorder: Recorder) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*PROGRAM, "ping"], stdout=full, stderr=subprocess.PIPE, check=False, timeout=30)
    assert done.returncode == 4
    assert done.stderr.count(b"No space left") == 1


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


def test_a_plain_command_loads_nothing_heavy(recorder: Recorder) -> None:
    heavy = {"rich", "argcomplete", "yaml", "bluesky", "ophyd", "numpy", "pandas", "databroker"}
    code = "import sys; from jupyter_queueserver.cli import main; main(['status']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "jupyter_queueserver.cli.program" in loaded
    assert heavy & loaded == set()
    assert len(recorder.asked) == 1


def test_the_id_of_a_request_can_be_given(recorder: Recorder) -> None:
    assert cli.main(["queue", "clear", "--request-id", "mine"]) == 0
    assert cli.main(["queue", "clear"]) == 0
    assert cli.main(["queue", "get", "--request-id", "mine"]) == 0
    assert recorder.request_ids[0] == "mine"
    assert len(recorder.request_ids[1] or "") == 36
    assert recorder.request_ids[2] is None
