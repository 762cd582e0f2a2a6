"""Whatever is sent to the manager, there is one reply in its form, and the manager stays the same process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fuzz_values import likely_values, values
from harness import is_process
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from line_real import ZmqLine
from played_server import played_server

from jupyter_queueserver.api import methods

#: What ends the manager: on a wish, or to test the watchdog.
ENDING = {"manager_stop", "manager_kill"}
EXAMPLES = 150
CALLS = 300

ANYTHING = values(st.floats())
LIKELY = likely_values(ANYTHING)


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """A request with a method that exists, whose parameters are mostly of its own."""
    method = methods()[draw(st.sampled_from(sorted(set(methods()) - ENDING)))]
    params = {name: draw(LIKELY.get(name, ANYTHING) | ANYTHING) for name in method.parameter_names if draw(st.booleans())}
    if draw(st.integers(0, 9)) == 0:
        params |= draw(st.dictionaries(st.text(max_size=8), ANYTHING, max_size=2))
    return {"method": method.name, "params": params}


class Door(NamedTuple):
    """A line, and the manager behind it."""

    line: ZmqLine
    manager: int


@pytest.fixture(scope="module", params=["json", "msgpack"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """A line in each encoding, to a manager of its own."""
    with played_server("--zmq-encoding", request.param) as server:
        line = ZmqLine(server, request.param)
        yield Door(line, server.manager)
        line.close()


def ask(door: Door, *frames: bytes) -> dict[str, Any]:
    """Send frames; there must be one reply, and it must be an object."""
    reply = door.line.send(*frames)
    assert isinstance(reply, dict), f"{frames!r} was answered by {reply!r}"
    return reply


def check_alive(door: Door) -> None:
    """The manager is the same process as before, and the store is well."""
    status = ask(door, door.line.encode({"method": "status"}))
    assert door.line.server.manager == door.manager
    assert is_process(door.manager)
    assert status["store_failure"] is None


def fuzzed(count: int) -> settings:
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


def send_bytes(door: Door, count: int) -> None:
    """Frames that are no request, or perhaps are by chance."""

    @fuzzed(count)
    @given(st.lists(st.binary(max_size=60) | ANYTHING.map(door.line.encode), min_size=1, max_size=3))
    def send(frames: list[bytes]) -> None:
        reply = ask(door, *frames)
        if reply.get("success") is not None:
            assert (reply["success"], type(reply["msg"])) == (False, str)

    send()
    check_alive(door)


def send_calls(door: Door, count: int) -> None:
    """Requests for methods that exist."""

    @fuzzed(count)
    @given(calls())
    def send(call: dict[str, Any]) -> None:
        reply = ask(door, door.line.encode(call))
        method = methods()[call["method"]]
        if method.lenient:
            assert reply["msg"].startswith("RE Manager v")
            return
        assert set(method.reply) | {"success", "msg"} <= set(reply)
        if reply["success"]:
            assert (reply["msg"], "error" in reply) == ("", False)
        else:
            assert reply["msg"]
            assert reply["error"]["code"] not in ("", "internal_error"), (call, reply)
            assert reply["error"]["hint"]

    send()
    check_alive(door)


def test_frames(door: Door) -> None:
    send_bytes(door, EXAMPLES)


def test_calls(door: Door) -> None:
    send_calls(door, CALLS)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_at_length(door: Door) -> None:
    send_bytes(door, 12 * EXAMPLES)
    send_calls(door, 12 * CALLS)
