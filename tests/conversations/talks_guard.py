"""Conversations about who may do what: locks, permissions, and parameters that a method does not have."""

from __future__ import annotations

from line import EMERGENCY_KEY, Line
from talks import plan, talk

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import IGNORE_BODY

WRONG_KEY = "Invalid lock key: "


@talk
def locking(line: Line) -> None:
    free = line.ok("lock_info")["lock_info"]
    assert (free["environment"], free["queue"], free["user"], free["time"], free["time_str"]) == (False, False, None, None, "")
    assert free["emergency_lock_key_is_set"]
    locked = line.ok("lock", lock_key="k1", queue=True, note="beam time")
    assert locked["lock_info"]["queue"]
    assert (locked["lock_info"]["user"], locked["lock_info"]["note"]) == (line.user, "beam time")
    assert line.status()["lock"] == {"environment": False, "queue": True}
    line.refused(WRONG_KEY, "queue_item_add", item=plan())
    line.refused("beam time", "queue_clear", lock_key="k2")
    line.ok("queue_item_add", item=plan(), lock_key="k1")
    line.ok("queue_start")  # the environment is not locked
    line.idle()
    assert line.ok("lock_info", lock_key="k1")["lock_info_uid"] == line.status()["lock_info_uid"]
    assert line.refused(WRONG_KEY, "lock_info", lock_key="k2")["lock_info"]["queue"]
    line.refused(WRONG_KEY, "lock_info", lock_key=EMERGENCY_KEY)
    line.refused("Error: RE Manager was locked with a different key", "lock", lock_key="k2", queue=True)
    line.ok("lock", lock_key="k1", environment=True)
    assert line.status()["lock"] == {"environment": True, "queue": False}
    line.refused(WRONG_KEY, "queue_start")
    line.refused(WRONG_KEY, "environment_close", lock_key="k2")
    line.refused(WRONG_KEY, "unlock", lock_key="k2")
    line.ok("unlock", lock_key="k1")
    line.ok("unlock", lock_key="whatever")
    line.ok("lock", lock_key="k3", environment=True, queue=True)
    assert not line.ok("unlock", lock_key=EMERGENCY_KEY)["lock_info"]["queue"]
    assert line.status()["lock"] == {"environment": False, "queue": False}


@talk
def locking_wrongly(line: Line) -> None:
    for params, text in (
        ({}, "Error: Lock key is not specified"),
        ({"lock_key": ""}, "Error: Lock key must be a non-empty string"),
        ({"lock_key": 5, "queue": True}, "Error: Lock key must be a non-empty string"),
        ({"lock_key": "k", "queue": True, "note": 5}, "Error: Note must be a string or None"),
        ({"lock_key": "k"}, "Error: Invalid option: environment and/or queue must be selected"),
    ):
        refused = line.refused(text, "lock", **params)
        if "http_status" not in refused:
            assert (refused["lock_info"], refused["lock_info_uid"]) == ({}, None)
    if line.submitter == "sent":
        line.denied("Error: User name is not specified", "lock", {"lock_key": "k", "queue": True})
        line.denied("Error: User name must be a non-empty string", "lock", {"lock_key": "k", "queue": True, "user": ""})
    line.refused("Error: Request contains no lock key", "unlock")
    line.refused("Error: Lock key must be a non-empty string", "unlock", lock_key=5)
    line.refused("Lock key must be a non-empty string", "lock_info", lock_key=5)
    assert line.status()["lock"] == {"environment": False, "queue": False}


@talk
def every_locked_method(line: Line) -> None:
    line.ok("lock", lock_key="k1", environment=True, queue=True)
    for name, method in methods().items():
        if method.lock is not None:
            line.refused(f"{method.names_prefix}{WRONG_KEY}", name, **_least(name))
    line.ok("unlock", lock_key="k1")


#: What a request must have to be judged by the manager over HTTP, too.
_LEAST = {
    "queue_autostart": {"enable": False},
    "queue_item_update": {"item": {}},
}


def _least(name: str) -> dict[str, object]:
    return _LEAST.get(name, {})


@talk
def parameters_that_do_not_exist(line: Line) -> None:
    for name, method in methods().items():
        ignored = name in IGNORE_BODY and line.way == "REST"  # it would be done
        if not line.serves(name) or method.lenient or method.lenient_names or ignored:
            continue
        least = {"mode": {}} if name == "queue_mode_set" else {}  # over HTTP its keys are those of the mode otherwise
        line.refused("API request contains unsupported parameters: ", name, no_such_parameter=1, **least)
    line.ok("permissions_get")


@talk
def the_tests_own_method(line: Line) -> None:
    if line.serves("manager_test"):
        line.refused("", "manager_test", test_name="no_such_test")


@talk
def permissions(line: Line) -> None:
    known = line.ok("permissions_get")["user_group_permissions"]
    assert set(known["user_groups"]) == {"root", "primary", "observer"}
    before = line.status()
    line.ok("permissions_set", user_group_permissions=known)
    assert line.status()["plans_allowed_uid"] == before["plans_allowed_uid"]
    groups = known["user_groups"] | {"primary": known["user_groups"]["primary"] | {"allowed_plans": ["quick"]}}
    line.ok("permissions_set", user_group_permissions=known | {"user_groups": groups})
    assert line.status()["plans_allowed_uid"] != before["plans_allowed_uid"]
    assert line.status()["plans_existing_uid"] == before["plans_existing_uid"]
    assert set(line.ok("plans_allowed")["plans_allowed"]) == {"quick"}
    line.refused("Plan 'count' is not in the list of allowed plans.", "queue_item_add", item=plan("count", args=[["det"]]))
    changed = line.ok("permissions_get")
    for bad in (
        5,
        {},
        {"user_groups": {}},
        {"user_groups": {"primary": groups["primary"]}},
        {"user_groups": groups | {"primary": groups["primary"] | {"allowed_plans": [":("]}}},
    ):
        line.refused("Error: ", "permissions_set", user_group_permissions=bad)
    line.refused("Error: ", "permissions_set")
    assert line.ok("permissions_get") == changed
    line.ok("permissions_reload", restore_permissions=False)
    assert line.ok("permissions_get") == changed
    line.ok("permissions_reload")
    assert line.ok("permissions_get")["user_group_permissions"] == known
    assert len(line.ok("plans_allowed")["plans_allowed"]) > 1


@talk
def reloading_the_lists(line: Line) -> None:
    names = ("plans_existing_uid", "devices_existing_uid", "plans_allowed_uid", "devices_allowed_uid")
    before = line.status()
    line.ok("permissions_reload", restore_plans_devices=True)
    after = line.status()
    assert not {before[name] for name in names} & {after[name] for name in names}
