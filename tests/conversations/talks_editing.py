"""Conversations about the contents of the queue and the history; nothing runs, but for one."""

from __future__ import annotations

from line import Line
from talks import NOBODY, STOP, plan, talk


@talk
def adding(line: Line) -> None:
    first = line.add("count", ["det"], num=2)
    front = line.ok("queue_item_add", item=plan(meta={"sample": "α"}), pos="front")
    assert front["qsize"] == 2
    assert (front["item"]["user"], front["item"]["user_group"]) == (line.user, line.user_group)
    second = line.ok("queue_item_add", item=plan(), before_uid=first)["item"]["item_uid"]
    third = line.ok("queue_item_add", item=STOP, after_uid=second)["item"]["item_uid"]
    order = [front["item"]["item_uid"], second, third, first]
    assert line.queue() == order
    for pos, place in ((1, 1), (99, 5), (-1, 6), (-3, 5), (-99, 0)):
        order.insert(place, line.add("quick", pos=pos))
        assert line.queue() == order, pos
    before_last = line.ok("queue_item_add", item=plan(), pos=-1, negative_pos="insert")["item"]["item_uid"]
    order.insert(len(order) - 1, before_last)  # as the first version meant it
    assert line.queue() == order
    line.refused("", "queue_item_add", item=plan(), pos=-1, negative_pos="sideways")
    kept = line.ok("queue_item_add", item=plan(surplus=1, result={}, item_uid=NOBODY, properties={"mine": 1}))["item"]
    assert kept.keys() == {"item_type", "name", "item_uid", "user", "user_group", "properties"}
    assert kept["item_uid"] != NOBODY
    changed = line.status()["plan_queue_uid"]
    line.add("quick")
    assert line.status()["plan_queue_uid"] != changed


@talk
def adding_what_is_wrong(line: Line) -> None:
    begin = "Failed to add an item: "
    for item, text in (
        ("quick", "incorrect type ('str') of item parameter: item parameter must have type 'dict'"),
        ({"name": "quick"}, "'item_type' key is not found"),
        ({"item_type": "scan", "name": "quick"}, "unsupported 'item_type' value: 'scan'"),
        (plan("flight"), "Plan 'flight' is not in the list of allowed plans."),
        (plan(args=[1]), "Plan validation failed: "),
        (plan("count", args=[["ghost"]]), "Plan validation failed: "),
        (plan("count", kwargs={"num": "many"}), "Plan validation failed: "),
        ({"item_type": "plan"}, "Plan validation failed: 'name'"),
        ({"item_type": "instruction", "name": "dance"}, "Unrecognized instruction: "),
        (plan(properties="x"), "Plan validation failed: "),
    ):
        reply = line.refused(begin, "queue_item_add", item=item)
        line.refused(text, "queue_item_add", item=item)
        if "http_status" not in reply:
            assert (reply["qsize"], reply["item"]) == (None, item)
    line.denied("request contains no item info", "queue_item_add", line.identity("queue_item_add"))
    uid = line.add("quick")
    for place, text in (
        ({"pos": "middle"}, "Parameter 'pos' has incorrect value: "),
        ({"pos": 1.5}, "Parameter 'pos' has incorrect value: "),
        ({"pos": 0, "before_uid": uid}, "Ambiguous parameters: "),
        ({"before_uid": uid, "after_uid": uid}, "Ambiguous parameters: "),
        ({"before_uid": NOBODY}, f"Plan with UID '{NOBODY}' is not in the queue."),
        ({"after_uid": NOBODY}, f"Plan with UID '{NOBODY}' is not in the queue."),
    ):
        reply = line.refused(begin + text, "queue_item_add", item=plan(), **place)
        assert reply["item"]["user"] == line.user
    assert line.queue() == [uid]


@talk
def who_submits(line: Line) -> None:
    if line.submitter == "known":  # whatever the body says
        reply = line.say("queue_item_add", {"item": plan(), "user": "somebody", "user_group": "nobodies"})
        assert (reply["item"]["user"], reply["item"]["user_group"]) == (line.user, line.user_group)
    if line.submitter != "sent":
        reply = line.say("queue_item_add", {"item": plan()})
        assert (reply["item"]["user"], reply["item"]["user_group"]) == (line.user, line.user_group)
        return
    reply = line.say("queue_item_add", {"item": plan(), "user": line.user, "user_group": "primary"})
    assert reply["success"]
    for params, text in (
        ({"user": "me"}, "user group is not specified"),
        ({"user_group": "primary"}, "user name is not specified"),
        ({"user": "me", "user_group": "nobodies"}, "Unknown user group: 'nobodies'"),
    ):
        for method, given in (
            ("queue_item_add", {"item": plan()}),
            ("queue_item_add_batch", {"items": [plan()]}),
            ("queue_item_execute", {"item": plan()}),
            ("queue_item_update", {"item": reply["item"]}),
        ):
            line.denied("" if method == "queue_item_add_batch" else text, method, given | params)
    line.denied(
        "Plan 'failing_plan' is not in the list of allowed plans.",
        "queue_item_add",
        {"item": plan("failing_plan", args=[["det"]]), "user": "me", "user_group": "observer"},
    )


@talk
def batches(line: Line) -> None:
    added = line.ok("queue_item_add_batch", items=[plan(), STOP, plan("count", args=[["det"]])])
    uids = [item["item_uid"] for item in added["items"]]
    assert (added["qsize"], added["results"]) == (3, [{"success": True, "msg": ""}] * 3)
    between = line.ok("queue_item_add_batch", items=[plan(), plan()], after_uid=uids[0])
    uids[1:1] = [item["item_uid"] for item in between["items"]]
    uids[0:0] = [item["item_uid"] for item in line.ok("queue_item_add_batch", items=[plan()], pos="front")["items"]]
    assert line.queue() == uids
    assert line.ok("queue_item_add_batch", items=[])["qsize"] == len(uids)
    bad = line.refused(
        "Failed to add all items: validation of 2 out of 3 submitted items failed",
        "queue_item_add_batch",
        items=[plan(), plan("flight"), {"item_type": "plan", "name": "quick", "args": [3]}],
    )
    assert [result["success"] for result in bad["results"]] == [True, False, False]
    assert bad["results"][1]["msg"].startswith("Failed to add a plan: ")
    assert bad["qsize"] == len(uids)
    bad = line.refused("Failed to add all items", "queue_item_add_batch", items=[plan()], before_uid=NOBODY)
    assert bad["results"][0]["msg"].startswith("Failed to add item to queue: ")
    line.denied("the list of items is not found", "queue_item_add_batch", line.identity("queue_item_add_batch"))
    for items in ("text", {}, 5):
        line.refused("Failed to add an item: ", "queue_item_add_batch", items=items)
    assert line.queue() == uids


@talk
def reading_and_removing(line: Line) -> None:
    uids = [line.add("count", ["det"], num=number) for number in (1, 2, 3, 4)]
    get, remove = "Failed to get an item: ", "Failed to remove an item: "
    for place, uid in (({}, 3), ({"pos": "front"}, 0), ({"pos": 1}, 1), ({"pos": -2}, 2), ({"uid": uids[2]}, 2)):
        assert line.ok("queue_item_get", **place)["item"]["item_uid"] == uids[uid]
    for place, of_get, of_remove in (
        ({"pos": 9}, "Index '9' is out of range (parameter pos = '9')", "Index"),
        ({"uid": NOBODY}, f"Item with UID '{NOBODY}' is not in the queue.", f"Plan with UID '{NOBODY}' is not in the queue."),
        ({"pos": "middle"}, "Parameter 'pos' has incorrect type: ", "Parameter 'pos' has incorrect value: "),
        ({"pos": 0, "uid": uids[0]}, "Ambiguous parameters: ", "Ambiguous parameters: "),
    ):
        assert line.refused(get + of_get, "queue_item_get", **place)["item"] == {}
        failed = line.refused(remove + of_remove, "queue_item_remove", **place)
        assert (failed["item"], failed["qsize"]) == ({}, None)
    taken = line.ok("queue_item_remove", pos=0)
    assert (taken["item"]["item_uid"], taken["qsize"]) == (uids[0], 3)
    assert line.ok("queue_item_remove")["item"]["item_uid"] == uids[3]
    line.ok("queue_item_remove", uid=uids[1])
    assert line.queue() == [uids[2]]
    line.ok("queue_clear")
    assert line.queue() == []
    line.refused(remove + "Queue is empty", "queue_item_remove")
    line.refused(remove + "Queue is empty", "queue_item_remove", pos="front")


@talk
def removing_batches(line: Line) -> None:
    uids = [line.add("quick") for _ in range(5)]
    begin = "Failed to remove a batch of items: "
    for wanted, text in (
        ([uids[0], uids[0]], "The list of contains repeated UIDs"),
        ([uids[0], NOBODY], "The queue does not contain items with the following UIDs"),
    ):
        failed = line.refused(begin + text, "queue_item_remove_batch", uids=wanted, ignore_missing=False)
        assert (failed["items"], failed["qsize"]) == ([], None)
    line.refused(begin + "Request does not contain the list of UIDs", "queue_item_remove_batch")
    line.refused(begin + "Parameter 'uids' must be a list", "queue_item_remove_batch", uids="all")
    assert line.ok("queue_item_remove_batch", uids=[])["items"] == []
    gone = line.ok("queue_item_remove_batch", uids=[uids[3], NOBODY, uids[0], uids[3]])
    assert [item["item_uid"] for item in gone["items"]] == [uids[3], uids[0]]
    assert gone["qsize"] == 3
    line.ok("queue_item_remove_batch", uids=[uids[1]], ignore_missing=False)
    assert line.queue() == [uids[2], uids[4]]


@talk
def moving(line: Line) -> None:
    order = [line.add("quick") for _ in range(5)]
    for source, target, place in (
        (0, {"pos_dest": 3}, 3),
        (4, {"pos_dest": "front"}, 0),
        (1, {"pos_dest": "back"}, 4),
        (2, {"pos_dest": 2}, 2),
    ):
        uid = order[source]
        assert line.ok("queue_item_move", pos=source, **target)["item"]["item_uid"] == uid
        order.insert(place, order.pop(source))
        assert line.queue() == order
    line.ok("queue_item_move", uid=order[4], before_uid=order[0])
    order.insert(0, order.pop())
    line.ok("queue_item_move", uid=order[0], after_uid=order[1])
    order.insert(1, order.pop(0))
    assert line.queue() == order
    begin = "Failed to move the item: "
    for params, text in (
        ({"pos_dest": 0}, "Source position or UID is not specified."),
        ({"pos": 0}, "Destination position or UID is not specified."),
        ({"pos": 0, "uid": order[0], "pos_dest": 1}, "Ambiguous parameters: "),
        ({"pos": 0, "pos_dest": 1, "before_uid": order[2]}, "Ambiguous parameters: "),
        ({"uid": NOBODY, "pos_dest": 1}, "Source plan "),
        ({"pos": 0, "after_uid": NOBODY}, "Destination plan "),
        ({"pos": 0, "pos_dest": 9}, "Destination plan "),
    ):
        failed = line.refused(begin + text, "queue_item_move", **params)
        assert (failed["item"], failed["qsize"]) == ({}, None)
    assert line.queue() == order


@talk
def moving_batches(line: Line) -> None:
    a, b, c, d, e = (line.add("quick") for _ in range(5))
    moved = line.ok("queue_item_move_batch", uids=[d, b], pos_dest="front")
    assert [item["item_uid"] for item in moved["items"]] == [d, b]
    assert line.queue() == [d, b, a, c, e]
    line.ok("queue_item_move_batch", uids=[e, d], after_uid=a, reorder=True)
    assert line.queue() == [b, a, d, e, c]
    line.ok("queue_item_move_batch", uids=[c, e], before_uid=b)
    assert line.queue() == [c, e, b, a, d]
    assert line.ok("queue_item_move_batch", uids=[], pos_dest="back")["items"] == []
    begin = "Failed to move the batch of items: "
    for params, text in (
        ({"uids": [a, a], "pos_dest": "front"}, "The list of contains repeated UIDs"),
        ({"uids": [a, NOBODY], "pos_dest": "front"}, "The queue does not contain items with the following UIDs"),
        ({"uids": [a], "before_uid": a}, f"Parameter 'before_uid': item with UID '{a}' is in the batch"),
        ({"uids": [a]}, "Destination for the batch is not specified: "),
        ({"uids": [a], "pos_dest": "front", "before_uid": b}, "more than one mutually exclusive parameter"),
        ({"pos_dest": "front"}, ""),
    ):
        failed = line.refused(begin, "queue_item_move_batch", **params)
        assert text in failed["msg"]
        assert (failed["items"], failed["qsize"]) == ([], None)
    assert line.queue() == [c, e, b, a, d]


@talk
def updating(line: Line) -> None:
    before = line.add("quick")
    item = line.ok("queue_item_add", item=plan("count", args=[["det"]], kwargs={"num": 1}))["item"]
    after = line.add("quick")
    uid = item["item_uid"]
    mended = line.ok("queue_item_update", item=item | {"kwargs": {"num": 5}})
    assert (mended["item"]["item_uid"], mended["item"]["kwargs"], mended["qsize"]) == (uid, {"num": 5}, 3)
    assert line.queue() == [before, uid, after]
    known = line.status()["plan_queue_uid"]
    line.ok("queue_item_update", item=mended["item"])
    line.ok("queue_item_update", item=mended["item"] | {"surplus": "dropped"})  # which used to lose the item
    assert line.status()["plan_queue_uid"] == known
    assert line.queue() == [before, uid, after]
    fresh = line.ok("queue_item_update", item=mended["item"], replace=True)["item"]["item_uid"]
    assert fresh != uid
    assert line.queue() == [before, fresh, after]
    begin = "Failed to add an item: "
    for changed, replace, text in (
        ({"item_uid": uid}, False, f"Failed to replace item: Item with UID '{uid}' is not in the queue"),
        ({"item_uid": uid}, True, f"Failed to replace item: Item with UID '{uid}' is not in the queue"),
        ({"name": "flight"}, False, "Plan validation failed: "),
    ):
        failed = line.refused(begin + text, "queue_item_update", item=item | {"item_uid": fresh} | changed, replace=replace)
        assert failed["qsize"] == 0
    bare = plan()
    line.refused("Item description contains no UID and UID generation is skipped", "queue_item_update", item=bare)
    line.refused("Item with UID 'None' is not in the queue", "queue_item_update", item=bare, replace=True)
    line.denied("request contains no item info", "queue_item_update", line.identity("queue_item_update"))
    assert line.queue() == [before, fresh, after]


@talk
def clearing_the_history(line: Line) -> None:
    uids = [line.add("quick") for _ in range(5)]
    line.ok("queue_start")
    line.wait(lambda status: status["items_in_history"] == 5 and status["manager_state"] == "idle", "five plans to end")
    assert line.results() == [(uid, "completed") for uid in uids]
    for params, page in (
        ({"limit": 2}, uids[3:]),
        ({"limit": 2, "before_uid": uids[3]}, uids[1:3]),
        ({"before_uid": uids[1]}, uids[:1]),
        ({"limit": 0}, []),
    ):
        shown = line.ok("history_get", **params)
        assert ([item["item_uid"] for item in shown["items"]], shown["items_in_history"]) == (page, 5)
    for params in ({"limit": -1}, {"limit": "2"}, {"before_uid": 5}, {"before_uid": NOBODY}):
        assert "http_status" in line.refused("Error: ", "history_get", **params) or line.turns[-1].reply["items"] == []
    known = line.status()["plan_history_uid"]
    for size in (5, 9):
        line.ok("history_clear", size=size)
    line.ok("history_clear", item_uid=NOBODY)
    assert line.status()["plan_history_uid"] == known
    line.ok("history_clear", size=4)
    line.ok("history_clear", item_uid=uids[2])
    assert [uid for uid, _ in line.results()] == uids[3:]
    for params, text in (
        ({"size": 1, "item_uid": uids[3]}, "Error: Parameters 'size' and 'item_uid' are mutually exclusive."),
        ({"size": "1"}, "Error: The 'size' parameter must be an integer: "),
        ({"item_uid": 5}, "Error: The 'item_uid' parameter must be a string: "),
    ):
        line.refused(text, "history_clear", **params)
    line.ok("history_clear", size=0)
    known = line.status()["plan_history_uid"]
    line.ok("history_clear")
    assert line.status()["plan_history_uid"] != known
    assert line.results() == []


@talk
def modes(line: Line) -> None:
    assert line.status()["plan_queue_mode"] == {"loop": False, "ignore_failures": False}
    line.ok("queue_mode_set", mode={"loop": True})
    line.ok("queue_mode_set", mode={"ignore_failures": True})
    line.ok("queue_mode_set", mode={})
    assert line.status()["plan_queue_mode"] == {"loop": True, "ignore_failures": True}
    begin = "Failed to set queue mode: "
    for mode, text in (
        ("fast", "Queue mode is passed using object of unsupported type"),
        (["loop"], "Queue mode is passed using object of unsupported type"),
        ({"fast": True}, "Unsupported plan queue mode parameter 'fast'"),
        ({"loop": 1}, "of the parameter 'loop'"),
    ):
        line.refused(begin, "queue_mode_set", mode=mode)
        line.refused(text, "queue_mode_set", mode=mode)
    line.refused(begin, "queue_mode_set")
    line.ok("queue_mode_set", mode="default")
    assert line.status()["plan_queue_mode"] == {"loop": False, "ignore_failures": False}


@talk
def restoring(line: Line) -> None:
    entry = {**plan(), "item_uid": "an-entry", "user": "me", "user_group": "primary", "result": {"exit_status": "completed"}}
    queued = {**plan("count", kwargs={"num": 2}), "item_uid": "an-item", "user": "me", "user_group": "primary"}
    ran = {**plan(), "item_uid": "it-ran", "properties": {"time_start": 1.5}}
    line.refused("Failed to restore: ", "queue_restore", items="x")
    line.refused("Failed to restore: ", "queue_restore", items=[{"item_type": "plan"}])
    line.refused("Failed to restore: ", "queue_restore", items=[], mode={"loop": "x"})
    line.refused("Failed to restore: ", "queue_restore", items=[], how="sideways")
    reply = line.ok("queue_restore", items=[queued], history=[entry], running=ran, mode={"loop": True}, how="empty")
    assert (reply["restored_items"], reply["restored_entries"], reply["left_out"], reply["returned"]) == (2, 1, 0, "it-ran")
    assert line.queue() == ["it-ran", "an-item"]
    assert line.ok("history_get")["items"] == [entry]
    assert line.status()["plan_queue_mode"]["loop"]
    line.refused("Failed to restore: ", "queue_restore", items=[queued])
    reply = line.ok("queue_restore", items=[queued, {**queued, "item_uid": "another"}], history=[entry], how="append")
    assert (reply["restored_items"], reply["left_out"], sorted(reply["left_out_uids"])) == (1, 2, ["an-entry", "an-item"])
    assert line.queue() == ["it-ran", "an-item", "another"]
    line.ok("queue_restore", items=[], mode={"loop": False}, how="replace")
    assert (line.queue(), line.status()["items_in_history"]) == ([], 0)
