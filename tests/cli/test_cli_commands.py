"""What each command of `qserver` sends: every row of the interface's table of commands."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from jupyter_queueserver.api import methods
from jupyter_queueserver.cli import program as cli
from jupyter_queueserver.cli.commands import commands, read_command
from jupyter_queueserver.cli.shapes import SHAPES, CommandError, usage_of
from jupyter_queueserver.client.envelope import with_identity

PLAN = "{'name': 'count', 'args': [['det1']], 'kwargs': {'num': 3, 'md': None, 'x': True}}"
ITEM = {**ast.literal_eval(PLAN), "item_type": "plan"}
STOP = {"item_type": "instruction", "name": "queue_stop"}
FUNCTION = "{'name': 'f', 'args': [1], 'kwargs': {}}"
CALL = {**ast.literal_eval(FUNCTION), "item_type": "function"}
UID = "7d1b3a2c-1111-4222-8333-944444444444"
SCRIPT = "a = 1\nb = 'Ä'\n"
RULES = {"user_groups": {"root": {"allowed_plans": [None]}, "primary": {"allowed_plans": [":.*"]}}}
SENT_SCRIPT = {"script": SCRIPT, "run_in_background": False, "update_re": False, "update_lists": True, "lock_key": None}
IN_BACKGROUND = SENT_SCRIPT | {"run_in_background": True}

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
    (["queue", "start", "confirm"], "queue_start", {"confirm_returned": True}, True),
    (["queue", "item", "confirm", UID], "queue_item_confirm", {"uids": [UID]}, True),
    (["queue", "item", "confirm", UID, "b"], "queue_item_confirm", {"uids": [UID, "b"]}, True),
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
    (["re", "runs"], "re_runs", {}, False),
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
    (["environment", "update"], "environment_update", {}, True),
    (["environment", "update", "background"], "environment_update", {"run_in_background": True}, True),
    (["permissions", "reload"], "permissions_reload", {}, True),
    (["permissions", "reload", "lists"], "permissions_reload", {"restore_plans_devices": True}, True),
    (["permissions", "get"], "permissions_get", {}, False),
    (["permissions", "set", "rules.yaml"], "permissions_set", {"user_group_permissions": RULES}, True),
    (["queue", "update", "plan", UID, PLAN], "queue_item_update", {"item": ITEM | {"item_uid": UID}, "replace": False}, True),
    (
        ["queue", "update", "instruction", UID, "queue-stop"],
        "queue_item_update",
        {"item": STOP | {"item_uid": UID}, "replace": False},
        True,
    ),
    (["queue", "replace", "plan", UID, PLAN], "queue_item_update", {"item": ITEM | {"item_uid": UID}, "replace": True}, True),
    (
        ["queue", "replace", "instruction", UID, "queue-stop"],
        "queue_item_update",
        {"item": STOP | {"item_uid": UID}, "replace": True},
        True,
    ),
    (["queue", "execute", "plan", PLAN], "queue_item_execute", {"item": ITEM}, True),
    (["queue", "execute", "instruction", "queue-stop"], "queue_item_execute", {"item": STOP}, True),
    (["queue", "autostart", "enable"], "queue_autostart", {"enable": True}, True),
    (["queue", "autostart", "disable"], "queue_autostart", {"enable": False}, True),
    (["queue", "mode", "set"], "queue_mode_set", {"mode": {}}, True),
    (["queue", "mode", "set", "loop", "True"], "queue_mode_set", {"mode": {"loop": True}}, True),
    (["queue", "mode", "set", "loop", "true"], "queue_mode_set", {"mode": {"loop": "true"}}, True),
    (["queue", "mode", "set", "loop", "1", "x", "None"], "queue_mode_set", {"mode": {"loop": 1, "x": None}}, True),
    (
        ["queue", "mode", "set", "loop", "False", "ignore_failures", "True"],
        "queue_mode_set",
        {"mode": {"loop": False, "ignore_failures": True}},
        True,
    ),
    (["re", "metadata"], "re_metadata", {}, False),
    (["function", "execute", FUNCTION], "function_execute", {"item": CALL, "run_in_background": False}, True),
    (["function", "execute", FUNCTION, "background"], "function_execute", {"item": CALL, "run_in_background": True}, True),
    (["script", "upload", "script.py"], "script_upload", SENT_SCRIPT, True),
    (
        ["script", "upload", "script.py", "keep-lists", "background"],
        "script_upload",
        IN_BACKGROUND | {"update_lists": False},
        True,
    ),
    (
        ["script", "upload", "script.py", "background", "background"],
        "script_upload",
        SENT_SCRIPT | {"run_in_background": True},
        True,
    ),
    (["script", "upload", "script.py", "update-re"], "script_upload", SENT_SCRIPT | {"update_re": True}, True),
    (["task", "result", UID], "task_result", {"task_uid": UID}, False),
    (["task", "status", UID], "task_status", {"task_uid": UID}, False),
    (["kernel", "interrupt"], "kernel_interrupt", {}, True),
    (["kernel", "interrupt", "task"], "kernel_interrupt", {"interrupt_task": True}, True),
    (["kernel", "interrupt", "plan", "task"], "kernel_interrupt", {"interrupt_task": True, "interrupt_plan": True}, True),
    (["lock", "environment"], "lock", {"environment": True}, True),
    (["lock", "queue", "a note"], "lock", {"queue": True, "note": "a note"}, True),
    (["lock", "all"], "lock", {"environment": True, "queue": True}, True),
    (["lock", "info"], "lock_info", {}, True),
    (["unlock"], "unlock", {}, True),
]
#: Methods without a command, as in the interface.
_BATCHES = {
    "queue_item_add_batch",
    "queue_item_remove_batch",
    "queue_item_move_batch",
    "queue_upload_spreadsheet",
    "queue_restore",
    "manager_test",
}
_NAMES = [" ".join(words)[:40] for words, *_ in ROWS]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current directory with the files that are named in the table."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "rules.yaml").write_text(
        "user_groups:\n  root:\n    allowed_plans: [null]\n  primary:\n    allowed_plans: [':.*']\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(("words", "method", "params", "has_lock"), ROWS, ids=_NAMES)
def test_what_a_command_sends(words: list[str], method: str, params: dict[str, Any], has_lock: bool) -> None:
    found, read = read_command(words)
    assert (found.name, read) == (method, params)
    assert read.keys() <= set(found.parameter_names)
    found, read = read_command(words, "key")
    assert read == params | ({"lock_key": "key"} if has_lock else {})


def test_every_method_has_a_command_in_the_table_and_a_known_shape() -> None:
    told = {" ".join(words) for words, *_ in ROWS}
    missing = [name for name in commands() if not any(f"{each} ".startswith(f"{name} ") for each in told)]
    assert missing == []
    assert {method.name for method in methods().values() if not method.commands} <= _BATCHES
    assert {shape for method in methods().values() for _, shape in method.commands} <= SHAPES.keys()


def test_the_reference_has_every_command_and_nothing_else() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/command-line.md").read_text(encoding="utf-8")
    table = page.partition("## Commands")[2].partition("\n## ")[0].replace("\\|", "|")
    written = set(re.findall(r"^\| `([^`]+)` \| (?:\[)?`(\w+)`", table, re.MULTILINE))
    made = {(f"{name} {usage}".rstrip(), each.method.name) for name, each in commands().items() for usage in usage_of(each)}
    assert made | {("monitor", "ping")} == written


def test_no_two_methods_have_the_same_words() -> None:
    assert len(commands()) == sum(len(method.commands) for method in methods().values())


@pytest.mark.parametrize(
    ("words", "identity"),
    [
        (["lock", "all"], {"user": "cli"}),
        (["queue", "add", "plan", PLAN], {"user": "cli", "user_group": "primary"}),
        (["queue", "update", "plan", UID, PLAN], {"user": "cli", "user_group": "primary"}),
        (["queue", "execute", "plan", PLAN], {"user": "cli", "user_group": "primary"}),
        (["allowed", "devices"], {"user_group": "primary"}),
        (["existing", "plans"], {}),
        (["queue", "start"], {}),
    ],
)
def test_the_identity_goes_where_the_interface_wants_it(words: list[str], identity: dict[str, str]) -> None:
    method, params = read_command(words)
    assert with_identity(method.name, params, "cli", "primary") == params | identity


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
    ["environment", "update", "foreground"],
    ["environment", "update", "background", "background"],
    ["permissions"],
    ["permissions", "reload", "everything"],
    ["permissions", "set"],
    ["permissions", "set", "no-such-file.yaml"],
    ["permissions", "set", "."],
    ["queue", "update", "plan", PLAN],
    ["queue", "update", "instruction", UID, "queue-jump"],
    ["queue", "replace", "plan", UID, PLAN, "more"],
    ["queue", "execute", "plan", "front", PLAN],
    ["queue", "execute"],
    ["queue", "autostart"],
    ["queue", "autostart", "True"],
    ["queue", "mode", "set", "default"],
    ["queue", "mode", "set", "loop"],
    ["queue", "mode"],
    ["lock"],
    ["lock", "everything"],
    ["lock", "queue", "a", "note"],
    ["lock", "info", "more"],
    ["unlock", "queue"],
    ["function", "execute"],
    ["function", "execute", "[1]"],
    ["function", "execute", FUNCTION, "foreground"],
    ["script", "upload"],
    ["script", "upload", "no-such-file.py"],
    ["script", "upload", __file__, "now"],
    ["function", "execute", FUNCTION, "background", "background"],
    ["task", "result"],
    ["task", "status", UID, UID],
    ["kernel", "interrupt", "queue"],
    ["nonsense"],
    ["queue"],
]


@pytest.mark.parametrize("words", WRONG, ids=[" ".join(words)[:40] for words in WRONG])
def test_wrong_words_are_refused_before_anything_is_sent(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError):
        read_command(words)
    assert cli.main([*words, "-a", "ipc:///nowhere"]) == 1
    captured = capsys.readouterr()
    assert captured.out == f"Arguments: {words}\n"
    assert captured.err.startswith("ERROR:jupyter_queueserver.cli:Invalid command or parameters: ")
    assert captured.err.endswith(".\n")


@pytest.mark.parametrize(
    ("given", "meant"), [("enviroment open", "environment open"), ("queue begin", "queue get"), ("stats", "status")]
)
def test_an_unknown_command_names_what_is_near(given: str, meant: str) -> None:
    with pytest.raises(CommandError, match=meant):
        read_command(given.split())


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: [1", "no YAML"),
        (b"day: 2026-01-01", "no YAML"),
        (b"!!python/object:os.system {}", "no YAML"),
        (b"a: \xff", "cannot be read"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=complaint):
        read_command(["permissions", "set", str(path)])


def test_a_complaint_names_the_forms_of_the_command_that_was_meant() -> None:
    with pytest.raises(CommandError) as told:
        read_command(["queue", "replace", "plan"])
    assert "queue replace plan <uid> <item> or: queue replace instruction <uid> queue-stop" in str(told.value)


def test_one_word_with_a_blank_is_not_two_words() -> None:
    with pytest.raises(CommandError, match="unknown command"):
        read_command(["queue get"])
