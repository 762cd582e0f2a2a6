"""From a request to its reply: envelope, parameters, refusals in the words of the interface, the registry itself."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, Stage, plan

from jupyter_queueserver.api import Context, methods, parse_request, read_call, refuse
from jupyter_queueserver.api.dispatch import refuse_envelope
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.errors import QueueServerError, StateError

CONTEXT = Context(epoch="e", version="1.2", local_time=str, connection={"key": "k"})


def read(stage: Stage, method: str, **params: Any) -> dict[str, Any]:
    reply = read_call(parse_request({"method": method, "params": params}), stage.state, CONTEXT)
    codec.to_msgpack(reply)
    return codec.from_json(codec.to_json(reply))


# 1.3 the envelope


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("ping", "Failed to decode the request: "),
        (["ping"], "Incorrect request type: list. Dictionary is expected"),
        (None, "Incorrect request type: NoneType. Dictionary is expected"),
        ({}, "Invalid request format: method is not specified: {}"),
        ({"params": {}}, "Invalid request format: method is not specified: {'params': {}}"),
        (
            {"method": "ping", "params": {}, "x": 1},
            "Request contains unexpected keys ['x']. Allowed keys: ('method', 'params')",
        ),
        ({"method": "fly"}, "Unknown method 'fly'"),
        ({"method": None}, "Unknown method None"),
        ({"method": ["ping"]}, "Unknown method ['ping']"),
    ],
)
def test_what_is_no_request(request_: Any, text: str) -> None:
    with pytest.raises(QueueServerError) as raised:
        parse_request(request_)
    assert raised.value.msg.startswith(text)
    assert raised.value.http_status in (400, 404)
    reply = refuse_envelope(raised.value)
    assert reply == {"success": False, "msg": raised.value.msg}


def test_a_long_request_is_not_repeated_whole() -> None:
    with pytest.raises(QueueServerError) as raised:
        parse_request({"params": "x" * 10**6})
    assert len(raised.value.msg) < 600


def test_missing_params_are_empty_and_null_is_not() -> None:
    stage = Stage()
    assert read_call(parse_request({"method": "queue_get"}), stage.state, CONTEXT)["success"]
    for wrong in (None, [], "x", 5):
        reply = read_call(parse_request({"method": "queue_get", "params": wrong}), stage.state, CONTEXT)
        assert (reply["success"], reply["items"]) == (False, [])
        for lenient in ("ping", "status"):
            shown = read_call(parse_request({"method": lenient, "params": wrong}), stage.state, CONTEXT)
            assert shown["msg"] == "RE Manager v1.2"


@pytest.mark.parametrize("name", [name for name, each in methods().items() if not (each.lenient or each.lenient_names)])
def test_unknown_parameters_are_refused_first(name: str) -> None:
    method = methods()[name]
    prefixes = {"config_get": "", "plans": "", "devices": ""}
    prefix = prefixes.get(name, prefixes.get(name.split("_")[0], methods()[name].names_prefix))
    for surplus, shown in ({"zz": 1}, "'zz'"), ({"zz": 1, "yy": 2, "lock_key": 5}, None):
        stage = Stage()
        reply = read(stage, name, **surplus) if method.kind == "read" else stage.refused(name, **surplus)
        unknown = [key for key in surplus if key not in method.parameter_names]
        shown = shown or repr(unknown)
        text = f"API request contains unsupported parameters: {shown}. Supported parameters: {list(method.parameter_names)}"
        assert reply["msg"] == prefix + text
        assert reply["error"]["code"] == "unsupported_parameters"
        assert set(method.reply) <= set(reply)


@pytest.mark.parametrize("name", [name for name, method in methods().items() if method.lock is not None])
def test_a_lock_key_is_text(name: str) -> None:
    reply = Stage().refused(name, lock_key=5)
    assert reply["msg"] == f"{methods()[name].names_prefix}Lock key must be a non-empty string or None: lock_key = 5"


def test_lock_keys_are_ignored_when_nothing_is_locked() -> None:
    for key in (None, "", "key"):
        Stage().ok("queue_clear", lock_key=key)


# the registry


def test_every_method_is_declared_wholly() -> None:
    for name, method in methods().items():
        assert method.summary.endswith("."), name
        assert method.path.startswith("/") or name == "manager_test", name
        for parameter in method.parameters:
            assert parameter.doc, f"{name}.{parameter.name} has no documentation"
        if method.kind == "read":
            assert method.lock is None
    assert len({(method.verb, method.path) for method in methods().values()}) == len(methods())


def test_locks_are_those_of_the_interface() -> None:
    expected = {"environment": {"environment_open", "environment_close", "environment_destroy", "queue_start", "queue_stop"}}
    expected["environment"] |= {"queue_stop_cancel", "re_pause", "re_resume", "re_stop", "re_abort", "re_halt"}
    expected["queue"] = {"history_clear", "queue_item_add", "queue_item_add_batch", "queue_item_remove", "queue_item_move"}
    expected["queue"] |= {"queue_clear"}
    for scope, names in expected.items():
        assert names <= {name for name, method in methods().items() if method.lock == scope}
    assert methods()["manager_stop"].lock is None


# 4 the status, 10.1 and 10.2


def test_status_has_every_key() -> None:
    stage = Stage.opened(1).started()
    shown = read(stage, "status", whatever=1)
    assert shown == read(stage, "ping")
    assert {"msg", "time", "status_uid", "items_in_queue", "items_in_history", "running_item_uid", "manager_state"} <= set(shown)
    assert "success" not in shown
    assert (shown["items_in_queue"], shown["manager_state"]) == (0, "executing_queue")
    assert stage.state.running is not None
    assert shown["running_item_uid"] == stage.state.running.item_uid


def test_version_uids_change_with_their_part_only() -> None:
    stage = Stage.opened(1)
    before = read(stage, "status")
    stage.add(2)
    after = read(stage, "status")
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"items_in_queue", "plan_queue_uid", "status_uid", "time"}
    assert read(stage, "queue_get")["plan_queue_uid"] == after["plan_queue_uid"]
    assert len(after["plan_queue_uid"]) == 36


def test_config() -> None:
    assert read(Stage(), "config_get")["config"] == {"ip_connect_info": {}}
    assert read(Stage.opened(), "config_get")["config"] == {"ip_connect_info": {"key": "k"}}


def test_lists() -> None:
    stage = Stage.opened()
    for kind, name in (("plans", "count"), ("devices", "det")):
        assert list(read(stage, f"{kind}_existing")[f"{kind}_existing"]) == [name]
        allowed = read(stage, f"{kind}_allowed", user_group="primary")
        assert list(allowed[f"{kind}_allowed"]) == [name]
        assert allowed[f"{kind}_allowed_uid"] == read(stage, "status")[f"{kind}_allowed_uid"]
        missing = read(stage, f"{kind}_allowed")
        assert missing["msg"] == "Incorrect request format: user group is not specified"
        assert (missing[f"{kind}_allowed"], missing[f"{kind}_allowed_uid"]) == ({}, None)
        for group in ("nobody", 5, []):
            assert read(stage, f"{kind}_allowed", user_group=group)["msg"] == f"Unknown user group: '{group}'"


def test_runs() -> None:
    stage = Stage.opened(1).started()
    runs = read(stage, "re_runs")
    assert [set(run) for run in runs["run_list"]] == [{"uid", "scan_id", "is_open", "exit_status"}]
    assert runs["run_list_uid"] == read(stage, "status")["run_list_uid"]
    assert read(stage, "re_runs", option="open")["run_list"] == runs["run_list"]
    assert read(stage, "re_runs", option="closed")["run_list"] == []
    wrong = read(stage, "re_runs", option="all")
    assert wrong["msg"].startswith("Error: Option 'all' is not supported. ")
    assert (wrong["run_list"], wrong["run_list_uid"]) == ([], "")


# 10.5 adding

_FORMAT = "Failed to add an item: Incorrect request format: "
_TYPES = "supported item types ('plan', 'instruction')"


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({**ME}, _FORMAT + "request contains no item info"),
        ({**ME, "item": None}, _FORMAT + "request contains no item info"),
        (
            {**ME, "item": [1]},
            _FORMAT + "incorrect type ('list') of item parameter: item parameter must have type 'dict'",
        ),
        ({**ME, "item": {"name": "count"}}, _FORMAT + "'item_type' key is not found"),
        ({**ME, "item": {"item_type": "scan"}}, _FORMAT + "unsupported 'item_type' value: 'scan', " + _TYPES),
        ({"item": plan(1), "user": "me"}, _FORMAT + "user group is not specified"),
        ({"item": plan(1), "user_group": "primary"}, _FORMAT + "user name is not specified"),
        ({"item": plan(1)}, _FORMAT + "user group is not specified"),
        ({"item": plan(1), "user": "me", "user_group": "nobody"}, "Failed to add an item: Unknown user group: 'nobody'"),
        (
            {"item": {"item_type": "instruction", "name": "queue_stop"}, "user": "me", "user_group": "nobody"},
            "Failed to add an item: Unknown user group: 'nobody'",
        ),
        (
            {**ME, "item": {"item_type": "instruction", "name": "rest"}},
            "Failed to add an item: Unrecognized instruction: {",
        ),
        (
            {**ME, "item": {"item_type": "plan", "name": "fly"}},
            "Failed to add an item: Plan validation failed: Plan 'fly' is not in the list of allowed plans.",
        ),
        ({**ME, "item": {"item_type": "plan"}}, "Failed to add an item: Plan validation failed: 'name'"),
        (
            {**ME, "item": {"item_type": "plan", "name": "count", "properties": [1]}},
            "Failed to add an item: Plan validation failed: 'properties' must be a dictionary, not list",
        ),
    ],
)
def test_adding_refuses(params: dict[str, Any], text: str) -> None:
    reply = Stage.opened().refused("queue_item_add", **params)
    assert reply["msg"].startswith(text)
    if "Plan validation" in text:
        assert "\nPlan: {" in reply["msg"]
    assert reply["qsize"] is None
    assert reply["item"] == params.get("item")
    assert reply["error"]["hint"]


def test_the_place_of_the_fault_is_named() -> None:
    item = {"item_type": "plan", "name": "count", "kwargs": {"nom": 3}}
    reply = Stage.opened().refused("queue_item_add", item=item, **ME)
    assert reply["error"]["path"].startswith("item.kwargs")
    batch = Stage.opened().refused("queue_item_add_batch", items=[plan(1), item], **ME)
    assert batch["error"]["path"].startswith("items[1].kwargs")
    assert batch["results"][1]["error"]["path"] == batch["error"]["path"]


def test_what_is_kept_of_an_item() -> None:
    stage = Stage.opened()
    sent = {
        **plan(3),
        "args": [],
        "meta": {"x": float("inf"), "big": 10**30, "text": "ü"},
        "item_uid": "mine",
        "user": "somebody else",
        "user_group": "root",
        "result": {"exit_status": "completed"},
        "extra": 1,
        "properties": {"time_start": 1.0, "immediate_execution": True, "mine": 1},
    }
    stored = stage.ok("queue_item_add", item=sent, **ME)["item"]
    assert stored["item_uid"] != "mine"
    assert stored | {"item_uid": ""} == {
        "item_uid": "",
        "item_type": "plan",
        "name": "count",
        "args": [],
        "kwargs": {"num": 3},
        "meta": {"x": float("inf"), "big": 10**30, "text": "ü"},
        "properties": {"mine": 1},
        **ME,
    }
    assert read(stage, "queue_get")["items"] == [stored]


def test_running_keeps_keys_that_are_null() -> None:
    stage = Stage.opened()
    stage.ok("queue_item_add", item={**plan(1), "meta": {}, "properties": {"note": None}}, **ME)
    stage.started().end()
    entry = next(iter(stage.state.history)).fields
    assert (entry["meta"], entry["properties"]) == ({}, {"note": None})


@pytest.mark.parametrize("place", ["kwargs", "meta"])
def test_bytes_of_a_msgpack_client_are_refused(place: str) -> None:
    item = {**plan(1), "kwargs": {"num": b"x"}} if place == "kwargs" else {**plan(1), "meta": {"a": b"x"}}
    reply = Stage.opened().refused("queue_item_add", item=item, **ME)
    assert reply["msg"].startswith("Failed to add an item: ")
    batch = Stage.opened().refused("queue_item_add_batch", items=[item, plan(1)], **ME)
    assert batch["msg"] == "Failed to add all items: validation of 1 out of 2 submitted items failed"
    if place == "meta":
        assert "Object of type bytes is not JSON serializable" in reply["msg"]


def test_half_a_surrogate_pair_goes_through() -> None:
    """A JSON client may send it; it must not make the queue unreadable for others."""
    stage = Stage.opened()
    stored = stage.ok("queue_item_add", item={**plan(1), "meta": {"a": "\ud800"}}, **ME)["item"]
    assert stored["meta"] == {"a": "\ud800"}
    stage.restart()
    assert read(stage, "queue_get")["items"] == [stored]
    assert "\ud800" in read(stage, "re_runs", option="\ud800")["msg"]


# batches


def test_a_batch_is_all_or_nothing() -> None:
    stage = Stage.opened(1)
    bad = {"item_type": "plan", "name": "fly"}
    reply = stage.refused("queue_item_add_batch", items=[plan(2), bad, None], **ME)
    assert reply["msg"] == "Failed to add all items: validation of 2 out of 3 submitted items failed"
    assert (reply["qsize"], reply["items"]) == (1, [plan(2), bad, None])
    assert [result["success"] for result in reply["results"]] == [True, False, False]
    assert reply["results"][1]["msg"].startswith("Failed to add a plan: Plan validation failed: ")


def test_a_batch_that_has_no_place() -> None:
    stage = Stage.opened(1)
    reply = stage.refused("queue_item_add_batch", items=[plan(2), plan(3)], **ME, pos="middle")
    assert reply["msg"] == "Failed to add all items: validation of 2 out of 2 submitted items failed"
    assert reply["qsize"] == 1
    assert all(set(item) > {"item_uid", "user"} for item in reply["items"])  # the prepared ones
    assert all(
        result["msg"].startswith("Failed to add item to queue: Parameter 'pos' has incorrect value")
        for result in reply["results"]
    )
    assert reply["error"]["path"] == "pos"


def test_an_empty_batch_succeeds() -> None:
    stage = Stage.opened(1)
    for place in ({}, {"pos": "middle"}):
        reply = stage.ok("queue_item_add_batch", items=[], **ME, **place)
        assert (reply["items"], reply["results"], reply["qsize"]) == ([], [], 1)


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({**ME}, "Invalid request format: the list of items is not found"),
        ({**ME, "items": "ab"}, "Invalid request format: 'items' must be a list, not str"),
        ({**ME, "items": {}}, "Invalid request format: 'items' must be a list, not dict"),
        ({"items": [plan(1)], "user": "me"}, "Incorrect request format: user group is not specified"),
        ({"items": [plan(1)], "user_group": "primary"}, "Incorrect request format: user name is not specified"),
    ],
)
def test_malformed_batches(params: dict[str, Any], text: str) -> None:
    reply = Stage.opened(1).refused("queue_item_add_batch", **params)
    assert reply["msg"] == "Failed to add an item: " + text
    assert (reply["items"], reply["results"], reply["qsize"]) == ([], [], 1)


def test_a_refusal_has_every_key_of_the_reply() -> None:
    for name, method in methods().items():
        call = parse_request({"method": name, "params": {"item": {"a": 1}}})
        reply = refuse(call, StateError("No."), Stage().state)
        assert reply["success"] is False
        assert reply["msg"] == f"{method.prefix}No."
        assert set(reply) == {"success", "msg", "error", *method.reply}


# the codec


def test_what_is_no_json() -> None:
    for data in (b"{", b"\xff\xfe", b"[" * 100_000, b""):
        with pytest.raises(ValueError, match=r"\w"):
            codec.from_json(data)
    assert codec.from_json(b"[1e400, -Infinity, 123456789012345678901]") == [float("inf"), float("-inf"), 123456789012345678901]


def test_msgpack_carries_what_it_does_not_know() -> None:
    value = {"a": [10**30, -(10**400), 2**63], "b": "\ud800"}
    assert codec.from_msgpack(codec.to_msgpack(value)) == {"a": [1e30, float("-inf"), 2**63], "b": "?"}
