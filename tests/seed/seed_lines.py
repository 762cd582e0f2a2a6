"""Every command line and every HTTP line of the first version's description, as printed there, with what it did then.

A row: the state in which it is tried (five plans, 0 to 4, are in the queue), its lines, the method of today that is called, and
facts of the state afterwards (`SeedManager.facts`; those that are not named do not change).
"""

# ruff: noqa: E501 - lines as they are printed

from __future__ import annotations

from typing import Any, NamedTuple

ACCEPTED = {"success": True}


class Row(NamedTuple):
    """One thing to do.

    Attributes
    ----------
    given
        State before it.
    lines
        As printed; all of them do the same.
    method, params
        What the manager is asked for, but for user and user group.
    facts
        What is different afterwards.
    reply
        Part of the answer; None: there is none.
    """

    given: str
    lines: tuple[str, ...]
    method: str
    params: dict[str, Any]
    facts: dict[str, Any]
    reply: dict[str, Any] | None = ACCEPTED


DETECTORS = [["det1", "det2"]]
COUNT: dict[str, Any] = {"item_type": "plan", "name": "count", "args": DETECTORS}
SCAN: dict[str, Any] = {"item_type": "plan", "name": "scan", "args": [["det1", "det2"], "motor", -1, 1, 10]}
SLOW: dict[str, Any] = {**COUNT, "kwargs": {"num": 10, "delay": 1}}
STATUS = {"manager_state": "idle", "items_in_queue": 5}


def add(item: dict[str, Any], **place: Any) -> dict[str, Any]:
    """Parameters by which a plan is added as the first version did it."""
    return {"item": item, "negative_pos": "insert", **place}


ROWS = (
    Row("open", ("qserver -c ping", "http GET http://localhost:60610"), "ping", {}, {}, STATUS),
    Row("open", ('qserver -c ping -a "tcp://localhost:5555"',), "ping", {}, {}, STATUS),
    Row("open", ("qserver -c status", "http GET http://localhost:60610/status"), "status", {}, {}, STATUS),
    Row(
        "closed",
        ("qserver -c environment_open", "http POST http://localhost:60610/environment/open"),
        "environment_open",
        {},
        {"environment": "open"},
    ),
    Row(
        "open",
        ("qserver -c environment_close", "http POST http://localhost:60610/environment/close"),
        "environment_close",
        {},
        {"environment": "closed"},
    ),
    Row(
        "open",
        ("qserver -c environment_destroy", "http POST http://localhost:60610/environment/destroy"),
        "environment_destroy",
        {},
        {"environment": "closed"},
    ),
    Row("open", ("qserver -c plans_allowed", "http GET http://localhost:60610/plans/allowed"), "plans_allowed", {}, {}),
    Row("open", ("qserver -c devices_allowed", "http GET http://localhost:60610/devices/allowed"), "devices_allowed", {}, {}),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p '{"name":"count", "args":[["det1", "det2"]]}'""",
            """http POST http://localhost:60610/queue/plan/add plan:='{"name":"count", "args":[["det1", "det2"]]}'""",
        ),
        "queue_item_add",
        add(COUNT),
        {"queue": [0, 1, 2, 3, 4, "count"]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p '{"name":"scan", "args":[["det1", "det2"], "motor", -1, 1, 10]}'""",
            """http POST http://localhost:60610/queue/plan/add plan:='{"name":"scan", "args":[["det1", "det2"], "motor", -1, 1, 10]}'""",
        ),
        "queue_item_add",
        add(SCAN),
        {"queue": [0, 1, 2, 3, 4, "scan"]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p '{"name":"count", "args":[["det1", "det2"]], "kwargs":{"num":10, "delay":1}}'""",
            """http POST http://localhost:60610/queue/plan/add plan:='{"name":"count", "args":[["det1", "det2"]], "kwargs":{"num":10, "delay":1}}'""",
        ),
        "queue_item_add",
        add(SLOW),
        {"queue": [0, 1, 2, 3, 4, "count"]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p front '{"name":"count", "args":[["det1", "det2"]]}'""",
            """http POST http://localhost:60610/queue/plan/add pos:='"front"' plan:='{"name":"count", "args":[["det1", "det2"]]}'""",
        ),
        "queue_item_add",
        add(COUNT, pos="front"),
        {"queue": ["count", 0, 1, 2, 3, 4]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p back '{"name":"count", "args":[["det1", "det2"]]}'""",
            """http POST http://localhost:60610/queue/plan/add pos:='"back"' plan:='{"name":"count", "args":[["det1", "det2"]]}'""",
        ),
        "queue_item_add",
        add(COUNT, pos="back"),
        {"queue": [0, 1, 2, 3, 4, "count"]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p 2 '{"name":"count", "args":[["det1", "det2"]]}'  # Inserted at pos #2 (0-based)""",
            """http POST http://localhost:60610/queue/plan/add pos:=2 plan:='{"name":"count", "args":[["det1", "det2"]]}'""",
        ),
        "queue_item_add",
        add(COUNT, pos=2),
        {"queue": [0, 1, "count", 2, 3, 4]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p -1 '{"name":"count", "args":[["det1", "det2"]]}'""",
            """http POST http://localhost:60610/queue/plan/add pos:=-1 plan:='{"name":"count", "args":[["det1", "det2"]]}'""",
        ),
        "queue_item_add",
        add(COUNT, pos=-1),
        {"queue": [0, 1, 2, 3, "count", 4]},
    ),
    Row(
        "open",
        (
            """qserver -c queue_plan_add -p 5 '{"name":"count", "args":[["det1", "det2"]]}'""",
            """http POST http://localhost:60610/queue/plan/add pos:=5 plan:='{"name":"count", "args":[["det1", "det2"]]}'""",
        ),
        "queue_item_add",
        add(COUNT, pos=5),
        {"queue": [0, 1, 2, 3, 4, "count"]},
    ),
    Row("open", ("qserver -c queue_get", "http GET http://localhost:60610/queue/get"), "queue_get", {}, {}),
    Row(
        "open",
        ("qserver -c queue_plan_remove", "echo '{}' | http POST http://localhost:60610/queue/plan/remove"),
        "queue_item_remove",
        {},
        {"queue": [0, 1, 2, 3]},
    ),
    Row(
        "open",
        ("qserver -c queue_plan_remove -p front", """http POST http://localhost:60610/queue/plan/remove pos:='"front"'"""),
        "queue_item_remove",
        {"pos": "front"},
        {"queue": [1, 2, 3, 4]},
    ),
    Row(
        "open",
        ("qserver -c queue_plan_remove -p -2", "http POST http://localhost:60610/queue/plan/remove pos:=-2"),
        "queue_item_remove",
        {"pos": -2},
        {"queue": [0, 1, 2, 4]},
    ),
    Row(
        "open",
        ("qserver -c queue_plan_get", "echo '{}' | http POST http://localhost:60610/queue/plan/get"),
        "queue_item_get",
        {},
        {},
        {"success": True, "kwargs": {"num": 4}},
    ),
    Row(
        "open",
        ("qserver -c queue_plan_get -p front", """http POST http://localhost:60610/queue/plan/get pos:='"front"'"""),
        "queue_item_get",
        {"pos": "front"},
        {},
        {"success": True, "kwargs": {"num": 0}},
    ),
    Row(
        "open",
        ("qserver -c queue_plan_get -p -2", "http POST http://localhost:60610/queue/plan/get pos:=-2"),
        "queue_item_get",
        {"pos": -2},
        {},
        {"success": True, "kwargs": {"num": 3}},
    ),
    Row("open", ("qserver -c queue-clear", "http POST http://localhost:60610/queue/clear"), "queue_clear", {}, {"queue": []}),
    Row(
        "open",
        ("qserver -c queue_start", "http POST http://localhost:60610/queue/start"),
        "queue_start",
        {},
        {"queue": [1, 2, 3, 4], "running": 0, "execution": "running"},
    ),
    Row(
        "running",
        ("qserver -c queue_stop", "http POST http://localhost:60610/queue/stop"),
        "queue_stop",
        {},
        {"stopping": True},
    ),
    Row(
        "stopping",
        ("qserver -c queue_stop_cancel", "http POST http://localhost:60610/queue/stop/cancel"),
        "queue_stop_cancel",
        {},
        {"stopping": False},
    ),
    Row(
        "running",
        ("qserver -c re_pause -p immediate", 'http POST http://localhost:60610/re/pause option="immediate"'),
        "re_pause",
        {"option": "immediate"},
        {"execution": "paused"},
    ),
    Row(
        "running",
        ("qserver -c re_pause -p deferred", 'http POST http://localhost:60610/re/pause option="deferred"'),
        "re_pause",
        {"option": "deferred"},
        {"execution": "paused"},
    ),
    Row(
        "paused",
        ("qserver -c re_resume", "http POST http://localhost:60610/re/resume"),
        "re_resume",
        {},
        {"execution": "running"},
    ),
    Row(
        "paused",
        ("qserver -c re_stop", "http POST http://localhost:60610/re/stop"),
        "re_stop",
        {"keep_first": True},
        {"queue": [0, 1, 2, 3, 4], "running": None, "execution": "idle", "past": [(0, "stopped")]},
    ),
    Row(
        "paused",
        ("qserver -c re_abort", "http POST http://localhost:60610/re/abort"),
        "re_abort",
        {"keep_first": True},
        {"queue": [0, 1, 2, 3, 4], "running": None, "execution": "idle", "past": [(0, "aborted")]},
    ),
    Row(
        "paused",
        ("qserver -c re_halt", "http POST http://localhost:60610/re_halt"),
        "re_halt",
        {"keep_first": True},
        {"queue": [0, 1, 2, 3, 4], "running": None, "execution": "idle", "past": [(0, "halted")]},
    ),
    Row("open", ("qserver -c history_get", "http GET http://localhost:60610/history/get"), "history_get", {}, {}),
    Row("open", ("qserver -c history_clear", "http POST http://localhost:60610/history/clear"), "history_clear", {}, {}),
    Row(
        "open",
        ("qserver -c manager_stop", "echo '{}' | http POST http://localhost:60610/manager/stop"),
        "manager_stop",
        {},
        {},
    ),
    Row(
        "open",
        ("qserver -c manager_stop -p safe_on", 'http POST http://localhost:60610/manager/stop option="safe_on"'),
        "manager_stop",
        {"option": "safe_on"},
        {},
    ),
    Row(
        "running",
        ("qserver -c manager_stop -p safe_off", 'http POST http://localhost:60610/manager/stop option="safe_off"'),
        "manager_stop",
        {"option": "safe_off"},
        {},
    ),
    Row(
        "running",
        ("qserver -c test_manager_kill", "http POST http://localhost:60610/test/manager/kill"),
        "manager_kill",
        {},
        {},
        None,
    ),
)

#: (row, line), one for each line that is a command
COMMANDS = [(row, line) for row in ROWS for line in row.lines if line.startswith("qserver")]
#: (row, line), one for each line that is an HTTP request
REQUESTS = [(row, line) for row in ROWS for line in row.lines if not line.startswith("qserver")]
