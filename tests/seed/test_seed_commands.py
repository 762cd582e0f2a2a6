"""Each command line of the first version's description does what it did then."""

from __future__ import annotations

import ast
import shlex
from typing import Any

import pytest
from seed_lines import COMMANDS, Row
from seed_manager import SeedManager

from jupyter_queueserver.api.first_version import COMMANDS as DECLARED
from jupyter_queueserver.api.registry import COMMON_PARAMETERS
from jupyter_queueserver.cli import first_version, main, program

PLAN = '{"name": "count", "args": [["det1"]]}'
IDENTITY = {"user": "qserver-cli", "user_group": "primary"}


def words_of(line: str) -> list[str]:
    """The words behind ``qserver``, as a shell splits them."""
    return shlex.split(line, comments=True)[1:]


def answer_of(printed: str) -> dict[str, Any]:
    """The answer in what was printed: a Python literal behind the line with the time."""
    _, _, literal = printed.split("\n", 2)
    return ast.literal_eval(literal)


@pytest.mark.parametrize(("row", "line"), COMMANDS, ids=[line for _, line in COMMANDS])
def test_a_line(
    row: Row, line: str, manager: SeedManager, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if row.reply is None:
        monkeypatch.setattr(program, "Client", Impatient)
    manager.prepare(row.given)
    before = manager.facts()
    status = main([*words_of(line), "-a", manager.address])
    [request] = manager.requests
    params = {name: value for name, value in request["params"].items() if name not in (*IDENTITY, *COMMON_PARAMETERS)}
    assert (request["method"], params) == (row.method, row.params)
    assert all(IDENTITY.get(name, value) == value for name, value in request["params"].items())
    assert manager.facts() == before | row.facts
    printed = capsys.readouterr().out
    if row.reply is None:
        assert status == 3
        assert "timeout occurred" in printed
        return
    assert status == 0
    answer = answer_of(printed)
    answer |= answer.get("item", {})
    assert answer | row.reply == answer


class Impatient(program.Client):
    """Who knows that there will be no answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, timeout=0.1)


def test_the_address_is_that_of_the_first_version_unless_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QSERVER_ZMQ_CONTROL_ADDRESS", "ipc:///elsewhere")
    monkeypatch.setenv("QSERVER_ZMQ_ENCODING", "msgpack")
    options = first_version.parse(["-c", "ping"])
    assert (options.address, options.zmq_encoding) == ("tcp://127.0.0.1:5555", "json")
    options = first_version.parse(["-c", "ping", "-a", "tcp://localhost:5555"])
    assert (options.address, options.zmq_encoding) == ("tcp://localhost:5555", "msgpack")
    options = first_version.parse(["-c", "ping", "--data-dir", "d"])
    assert options.address is None


def test_nobody_at_that_address_gives_3_and_says_what_to_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "Client", Impatient)
    monkeypatch.setattr(first_version, "FIRST_VERSION_CONTROL", "ipc:///nowhere")
    assert main(["-c", "ping"]) == 3
    assert "start-re-manager --legacy" in capsys.readouterr().out


def test_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-h"]) == 0
    assert "qserver -c COMMAND" in capsys.readouterr().out
    assert main(["-c", "ping", "-h"]) == 0
    printed = capsys.readouterr().out
    assert [name for name in DECLARED if f"-c {name}" not in printed] == []
    assert "-c queue_plan_add -p [front|back|<int>] '{<plan>}'" in printed


def test_the_monitor_pings_until_ctrl_c(
    manager: SeedManager, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.prepare("open")

    def pause(seconds: float) -> None:
        assert seconds == 1.0
        if len(manager.requests) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(program.time, "sleep", pause)
    assert main(["-c", "monitor", "-a", manager.address]) == 0
    assert [request["method"] for request in manager.requests] == ["ping"] * 3
    assert capsys.readouterr().out.count(" - MESSAGE: \n") == 3


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["ping", "-p", "1"],
        ["queue_plan_add"],
        ["queue_plan_add", "-p", "middle", PLAN],
        ["queue_plan_add", "-p", "1", "2", PLAN],
        ["queue_plan_add", "-p", "[1, 2]"],
        ["queue_plan_add", "-p", "{'a': __import__('os').getcwd()}"],
        ["queue_plan_remove", "-p", "some-uid"],
        ["re_pause", "-p", "later"],
        ["manager_stop", "-p", "safe", "on"],
        ["monitor", "-p", "1"],
    ],
    ids=" ".join,
)
def test_wrong_words_give_1_and_nothing_is_sent(
    words: list[str], manager: SeedManager, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.prepare("open")
    assert main(["-c", *words, "-a", manager.address]) == 1
    assert "Invalid command or parameters: " in capsys.readouterr().err
    assert manager.requests == []


@pytest.mark.parametrize("words", ["-c", "-c ping pong", "-c ping -p", "-p 1", "-c ping --nonsense"])
def test_wrong_options_give_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert capsys.readouterr().err.startswith("usage: qserver")


def test_a_refusal_gives_2(manager: SeedManager, capsys: pytest.CaptureFixture[str]) -> None:
    manager.prepare("open")
    assert main(["-c", "queue_plan_remove", "-p", "5", "-a", manager.address]) == 2
    assert answer_of(capsys.readouterr().out)["success"] is False


def test_parameters_may_stand_behind_several_p_and_a_plan_may_be_python(manager: SeedManager) -> None:
    manager.prepare("open")
    assert main(["-a", manager.address, "-c", "queue_plan_add", "-p", "-1", "-p", "{'name': 'count', 'args': [(1, True)]}"]) == 0
    assert main(["-a", manager.address, "-c", "queue_plan_add", "-p", '{"name": "count", "args": [[1, true, null]]}']) == 0
    assert [request["params"].get("pos") for request in manager.requests] == [-1, None]
    assert manager.requests[1]["params"]["item"]["args"] == [[1, True, None]]


def test_a_lock_key_is_sent_along(manager: SeedManager) -> None:
    manager.prepare("open")
    assert main(["-c", "queue_start", "-k", "key", "-a", manager.address]) == 0
    assert manager.requests[0]["params"]["lock_key"] == "key"


@pytest.mark.parametrize(("pos", "place"), [(-1, 4), (-2, 3), (-5, 0), (-6, 0), (-100, 0), (4, 4), (5, 5), (100, 5), (0, 0)])
def test_any_index_is_accepted(pos: int, place: int, manager: SeedManager) -> None:
    """Out of range: at the front or the back."""
    manager.prepare("open")
    assert main(["-c", "queue_plan_add", "-p", str(pos), PLAN, "-a", manager.address]) == 0
    queue = manager.facts()["queue"]
    assert queue.index("count") == place
    assert len(queue) == 6


@pytest.mark.parametrize("pos", ["-6", "5", "100"])
@pytest.mark.parametrize("command", ["queue_plan_remove", "queue_plan_get"])
def test_an_element_that_does_not_exist_is_refused(command: str, pos: str, manager: SeedManager) -> None:
    manager.prepare("open")
    assert main(["-c", command, "-p", pos, "-a", manager.address]) == 2
    assert manager.facts()["queue"] == [0, 1, 2, 3, 4]


def test_an_empty_queue_may_be_started(manager: SeedManager) -> None:
    manager.prepare("open")
    assert main(["-c", "queue_clear", "-a", manager.address]) == 0
    assert main(["-c", "queue_start", "-a", manager.address]) == 0
    assert manager.facts()["execution"] == "idle"


def test_a_queue_is_not_started_without_environment(manager: SeedManager) -> None:
    manager.prepare("closed")
    assert main(["-c", "queue_start", "-a", manager.address]) == 2


@pytest.mark.parametrize("given", ["running", "paused"])
def test_a_safe_end_is_refused_while_there_is_a_plan(given: str, manager: SeedManager) -> None:
    manager.prepare(given)
    assert main(["-c", "manager_stop", "-a", manager.address]) == 2


@pytest.mark.parametrize("command", ["re_stop", "re_abort", "re_halt"])
def test_a_plan_that_was_ended_by_hand_runs_again(command: str, manager: SeedManager) -> None:
    """It stays the first of the queue, whose execution may be started again."""
    manager.prepare("paused")
    assert main(["-c", command, "-a", manager.address]) == 0
    assert manager.facts()["queue"] == [0, 1, 2, 3, 4]
    assert main(["-c", "queue_start", "-a", manager.address]) == 0
    assert manager.facts()["running"] == 0
