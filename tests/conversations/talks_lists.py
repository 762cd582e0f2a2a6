"""Conversations that only ask: status, configuration, lists, metadata."""

from __future__ import annotations

from line import Line
from talks import talk


@talk
def asking_for_the_status(line: Line) -> None:
    status = line.status()
    assert line.call("ping").keys() == status.keys()
    assert status["msg"].startswith("RE Manager v")
    if line.submitter == "sent":
        assert line.say("ping", {"whatever": 1})["msg"] == status["msg"]
    names = ("manager_state", "items_in_queue", "items_in_history", "running_item_uid", "worker_background_tasks")
    assert [status[name] for name in names] == ["idle", 0, 0, None, 0]


@talk
def asking_for_lists(line: Line) -> None:
    status = line.status()
    for kind, known in (("plans", {"count", "quick", "hold", "long_count"}), ("devices", {"det", "motor", "stage"})):
        existing = line.ok(f"{kind}_existing")
        assert known <= set(existing[f"{kind}_existing"])
        assert existing[f"{kind}_existing_uid"] == status[f"{kind}_existing_uid"]
        allowed = line.ok(f"{kind}_allowed")
        assert known <= set(allowed[f"{kind}_allowed"]) <= set(existing[f"{kind}_existing"])
        assert allowed[f"{kind}_allowed_uid"] == status[f"{kind}_allowed_uid"]
        if line.submitter == "sent":
            for params, text in (
                ({}, "user group is not specified"),
                ({"user_group": "nobodies"}, "Unknown user group: 'nobodies'"),
            ):
                refused = line.denied(text, f"{kind}_allowed", params)
                assert (refused[f"{kind}_allowed"], refused[f"{kind}_allowed_uid"]) == ({}, None)
            few = line.say(f"{kind}_allowed", {"user_group": "observer"})[f"{kind}_allowed"]
            assert 0 < len(few) < len(allowed[f"{kind}_allowed"])


@talk
def asking_for_the_configuration(line: Line) -> None:
    info = line.ok("config_get")["config"]["ip_connect_info"]
    assert {"transport", "ip", "shell_port", "iopub_port", "stdin_port", "hb_port", "control_port", "key"} <= set(info)


@talk
def asking_for_metadata(line: Line) -> None:
    line.add("count", ["det"])
    line.ok("queue_start")
    line.idle()
    metadata = line.ok("re_metadata")["re_metadata"]
    assert metadata["scan_id"] >= 1
    assert "versions" in metadata
