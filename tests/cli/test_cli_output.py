"""What people see: tables of every kind of reply, refusals with their hint, and the choice of the form."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from cli_recorder import Recorder

from jupyter_queueserver.cli import program as cli
from jupyter_queueserver.cli.output import JsonOutput, TextOutput, make_output

UID = "7d1b3a2c-1111-4222-8333-944444444444"
PROGRAM = [sys.executable, "-m", "jupyter_queueserver", "qserver"]
ITEM = {"item_type": "plan", "name": "count", "args": [["det1"]], "kwargs": {"num": 3}, "item_uid": UID, "user": "me"}
RESULT = {
    "exit_status": "failed",
    "ending": "interrupted",
    "run_uids": ["r1"],
    "scan_ids": [7],
    "time_start": 0.0,
    "time_stop": 65.0,
}
PLAN = {
    "description": "Take readings.\nMany.",
    "parameters": [
        {"name": "detectors", "kind": {"name": "POSITIONAL_OR_KEYWORD"}},
        {"name": "num", "kind": {"name": "POSITIONAL_OR_KEYWORD"}, "default": "1"},
        {"name": "md", "kind": {"name": "KEYWORD_ONLY"}, "default": "None"},
        {"name": "extra", "kind": {"name": "VAR_KEYWORD"}},
    ],
}
LOCK = {"environment": True, "queue": True, "user": "me", "time_str": "11/23/2026 00:00:00", "note": "do not touch"}
STATUS = {"msg": "RE Manager", "manager_state": "idle", "plan_queue_uid": "x", "plan_queue_mode": {"loop": True}, "lock": {}}

#: reply, what is to be seen, what is not
REPLIES: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    ("status", STATUS, ["manager_state", "idle", "{loop: true}"], ["plan_queue_uid"]),
    ("alarm", STATUS | {"store_failure": "disk full"}, ["store_failure: disk full"], []),
    (
        "queue",
        {"items": [ITEM], "running_item": ITEM | {"name": "scan"}},
        ["scan", "count", "['det1'], num=3", UID, "1 item"],
        [],
    ),
    (
        "what came back",
        {"items": [ITEM | {"returned": {"reason": "The plan failed: no beam.", "confirmed": False}}], "running_item": {}},
        ["Came back: count", "The plan failed: no beam."],
        ["confirmed"],
    ),
    ("empty queue", {"items": [], "running_item": {}}, ["The queue is empty."], ["#"]),
    ("history", {"items": [ITEM | {"result": RESULT}], "plan_history_uid": "x"}, ["interrupted", "1 min 05 s", "#7", UID], []),
    ("bare history", {"items": [{"name": "count"}], "plan_history_uid": "x"}, ["count", "1 item"], []),
    ("empty history", {"items": [], "plan_history_uid": "x"}, ["The history is empty."], []),
    ("runs", {"run_list": [{"uid": UID, "is_open": True, "exit_status": None}]}, [UID, "open"], ["closed"]),
    ("no runs", {"run_list": []}, ["No runs."], []),
    ("plans", {"plans_allowed": {"count": PLAN}}, ["count", "detectors, num=1, *, md=None, **extra", "Take readings."], ["Many"]),
    ("devices", {"devices_existing": {"m": {"classname": "Motor", "is_movable": True}}}, ["Motor", "movable", "1 devices"], []),
    ("lock", {"lock_info": LOCK}, ["environment and queue", "me", "do not touch", "11/23/2026"], []),
    ("no lock", {"lock_info": {"environment": False, "queue": False}}, ["Not locked."], []),
    ("task", {"task_uid": UID, "status": "completed", "result": RESULT | {"return_value": [1]}}, [UID, "completed", "[1]"], []),
    ("many tasks", {"task_uid": [UID], "status": {UID: "not_found"}}, [UID, "not_found"], []),
    ("item", {"item": ITEM, "qsize": 2}, ["count", "[['det1']]", UID, "2 items in the queue."], []),
    ("no item", {"item": {}}, ["No item."], []),
    ("mapping", {"re_metadata": {"proposal": {"id": 5}}}, ["re_metadata", "id: 5"], []),
    ("nothing", {}, ["Done."], []),
    ("words", {"msg": "It is so."}, ["It is so."], ["Done"]),
    ("no markup", {"item": {"name": "[red]x[/red]", "note": ":smile:"}}, ["[red]x[/red]", ":smile:"], []),
    (
        "no control",
        {"items": [{"name": "a\x1b[2Jb\x9b", "args": ["\x1b"]}], "running_item": {}},
        ["a\\x1b[2Jb\\x9b"],
        ["\x1b", "\x9b"],
    ),
]


@pytest.mark.parametrize(("reply", "seen", "unseen"), [row[1:] for row in REPLIES], ids=[row[0] for row in REPLIES])
def test_a_table_shows_what_people_look_for(
    reply: dict[str, Any],
    seen: list[str],
    unseen: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    make_output("table").reply({"success": True, "msg": ""} | reply)
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [word for word in seen if word not in captured.out] == []
    assert [word for word in unseen if word in captured.out] == []


def test_nothing_is_cut_off_on_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    make_output("table").reply({"items": [ITEM | {"result": RESULT}], "plan_history_uid": "x"})
    history = capsys.readouterr().out.splitlines()
    assert history[1:4] == ["item: count", "arguments: ['det1'], num=3", "ending: interrupted"]
    assert f"uid: {UID}" in history
    assert "1 item in the history" in history
    make_output("table").reply({"items": [ITEM, ITEM], "running_item": {}})
    queue = capsys.readouterr().out.splitlines()
    assert [line for line in queue if line.startswith("#")] == ["#: 0", "#: 1"]
    assert queue.count(f"uid: {UID}") == 2
    monkeypatch.setenv("COLUMNS", "20")
    make_output("table").reply({"worker_environment_state": "idle", "run_list_uid": "x", "other": "o" * 30})
    assert capsys.readouterr().out.splitlines() == ["worker_environment_s", "tate: idle", "other: ", "o" * 20, "o" * 10]


def test_a_long_history_shows_its_end_and_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    items = [{"name": f"plan_{number}"} for number in range(1000)]
    make_output("table").reply({"items": items, "plan_history_uid": "x"})
    printed = capsys.readouterr().out
    assert "1000 items in the history, the last 200 are shown" in printed
    assert "plan_999" in printed
    assert "plan_799 " not in printed


def test_a_refusal_shows_its_hint(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    error = {"code": "environment_closed", "hint": "Open it.", "path": "item.name"}
    recorder.reply = {"success": False, "msg": "Failed\nto start", "error": error}
    assert cli.main(["queue", "start", "--format", "table"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Refused: Failed\nto start\nWhere: item.name\nHint: Open it.\nCode: environment_closed\n"


def test_a_refusal_without_details_is_shown_too(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    recorder.reply = {"success": False, "msg": ""}
    assert cli.main(["queue", "start", "--format", "table"]) == 2
    assert capsys.readouterr().err == "Refused: (no reason given)\n"


def test_errors_of_our_own_are_short_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stats", "--format", "table"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Invalid command or parameters: unknown command 'stats'; did you mean: status")
    assert err.endswith("Nothing was sent.\n")
    make_output("table").no_answer(TimeoutError("timeout occurred"))
    assert capsys.readouterr().err == "No answer: timeout occurred\n"


def test_the_monitor_shows_one_line_each_time(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pause(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(cli.time, "sleep", pause)
    recorder.reply = STATUS | {"items_in_queue": 3, "items_in_history": 4, "running_item_uid": UID}
    assert cli.main(["monitor", "--format", "table"]) == 0
    _, line = capsys.readouterr().out.splitlines()
    assert line[9:] == f"manager idle  environment -  RunEngine -  queue 3  history 4  running {UID}"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stdout", "term", "form"),
    [
        (_Terminal(), "xterm", "TableOutput"),
        (_Terminal(), "dumb", "TextOutput"),
        (io.StringIO(), "xterm", "TextOutput"),
        (None, "xterm", "TextOutput"),
    ],
)
def test_tables_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch, stdout: Any, term: str, form: str) -> None:
    monkeypatch.setattr("sys.stdout", stdout)
    monkeypatch.setenv("TERM", term)
    assert type(make_output("auto")).__name__ == form
    assert type(make_output("text")) is TextOutput
    assert type(make_output("json")) is JsonOutput


def test_format_json_is_json(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["queue", "get", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == recorder.reply


@pytest.mark.parametrize("variable", [None, "NO_COLOR"])
def test_a_real_terminal_has_colours_unless_they_are_unwanted(recorder: Recorder, variable: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    environment |= {"TERM": "xterm-256color"} | ({variable: "1"} if variable else {})
    ours, theirs = pty.openpty()
    try:
        subprocess.run([*PROGRAM, "queue", "start"], stdout=theirs, env=environment, check=True, timeout=60)
    finally:
        os.close(theirs)
    assert "".join(_read(ours)) == ("Done.\r\n" if variable else "\x1b[32mDone.\x1b[0m\r\n")
    assert recorder.asked == [{"method": "queue_start", "params": {}}]


def _read(descriptor: int) -> Iterator[str]:
    """What was written into a terminal whose other side is closed."""
    try:
        while piece := os.read(descriptor, 65536):
            yield piece.decode()
    except OSError:  # how a terminal says that this is all
        pass
    finally:
        os.close(descriptor)
