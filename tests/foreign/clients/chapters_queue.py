"""Chapters about everything that runs nothing: connecting, lists and permissions, editing the queue."""

from bluesky_queueserver_api import BInst, BItem, BPlan
from recorder import raises
from scene import count


async def connecting(scene):
    rm = scene.rm
    assert rm.protocol == (rm.Protocols.HTTP if scene.is_http else rm.Protocols.ZMQ)
    assert "NONE" in dir(rm.AuthorizationMethods)
    assert all(issubclass(kind, Exception) for kind in (rm.HTTPRequestError, rm.HTTPClientError, rm.HTTPServerError))
    assert all(issubclass(kind, Exception) for kind in (rm.RequestParameterError, rm.RequestTimeoutError, rm.RequestFailedError))
    status = await rm.status()
    assert status["msg"].startswith("RE Manager v"), status["msg"]
    assert status["manager_state"] == "idle"
    assert (await rm.ping(reload=True)).keys() == status.keys()
    assert isinstance((await rm.config_get())["config"], dict)
    assert (await rm.send_request(method="status"))["status_uid"]
    if scene.is_http:
        for path in ("/api/ping", "/api/", "/api", "api/status"):
            assert (await rm.send_request(method=("GET", path)))["manager_state"] == "idle", path
        with raises(rm.RequestParameterError, "Unknown method"):
            await rm.send_request(method="nonsense")
        with raises(rm.HTTPClientError, "404"):
            await rm.send_request(method=("GET", "/api/nonsense"))
        with raises(rm.HTTPClientError, "405"):
            await rm.send_request(method=("GET", "/api/queue/item/add"))
        with raises(rm.HTTPClientError, "400"):
            await rm.send_request(method="queue_get", params={"zz": 1})
        for _ in range(20):  # the connection stays usable after a refusal, or the refusal says that it is closed
            with raises(rm.HTTPClientError, "404"):
                await rm.send_request(method=("POST", "/api/nonsense"), params={"zz": 1})
            await rm.queue_get(reload=True)
            assert (await rm.status(reload=True))["manager_state"] == "idle"
    else:
        with raises(rm.RequestFailedError, "Unknown method 'nonsense'"):
            await rm.send_request(method="nonsense")
        with raises(rm.RequestFailedError, "unsupported parameters: 'zz'"):
            await rm.send_request(method="queue_get", params={"zz": 1})


async def refusals(scene):
    rm = scene.rm
    with raises(rm.RequestFailedError, "Request failed: ") as caught:
        await rm.item_add(BPlan("no_such_plan"))
    response = caught[0].response
    assert "is not in the list of allowed plans" in response["msg"], response
    assert response["success"] is False
    assert response["error"]["hint"], response
    assert rm.request_fail_exceptions_enabled is True
    rm.request_fail_exceptions_enabled = False
    reply = await rm.item_add(BPlan("no_such_plan"))
    assert (reply["success"], reply["qsize"], reply["item"]["name"]) == (False, None, "no_such_plan"), reply
    rm.request_fail_exceptions_enabled = True
    with raises(rm.RequestFailedError, "request contains no item info"):
        await rm.send_request(method="queue_item_add", params={} if scene.is_http else {"user": "u", "user_group": "primary"})
    with raises(rm.RequestFailedError, "RE Worker environment does not exist"):
        await rm.queue_start()
    assert await scene.names() == []


async def nobody_answers(scene):
    rm = scene.rm
    if scene.is_http:
        other = await scene.make(http_server_uri=scene.words["nowhere"].replace("tcp:", "http:"))
        expected = rm.HTTPRequestError
    else:
        other = await scene.make(zmq_control_addr=scene.words["nowhere"], timeout_recv=0.2)
        expected = rm.RequestTimeoutError
    with raises(expected):
        await other.status()
    await other.close()
    if scene.is_http:
        with raises(rm.RequestTimeoutError, "Request timeout: "):
            await rm.send_request(method=("GET", "/api/test/server/sleep"), params={"time": 1}, timeout=0.2)


async def lists(scene):
    rm = scene.rm
    await scene.need_environment()
    status = await scene.status()
    for kind in ("plans", "devices"):
        allowed = await getattr(rm, f"{kind}_allowed")()
        assert allowed[f"{kind}_allowed_uid"] == status[f"{kind}_allowed_uid"]
        existing = await getattr(rm, f"{kind}_existing")(reload=True)
        assert existing[f"{kind}_existing_uid"] == status[f"{kind}_existing_uid"]
        assert set(allowed[f"{kind}_allowed"]) <= set(existing[f"{kind}_existing"])
    plans = (await rm.plans_allowed(reload=True))["plans_allowed"]
    assert {"count", "scan", "sweep_1d"} <= set(plans)
    names = [parameter["name"] for parameter in plans["count"]["parameters"]]
    assert names[:2] == ["detectors", "num"], names
    assert "det" in (await rm.devices_allowed(reload=True))["devices_allowed"]
    if not scene.is_http:
        few = (await rm.plans_allowed(reload=True, user_group="observer"))["plans_allowed"]
        assert set(few) == {"count", "long_count", "quick"}, set(few)
        with raises(rm.RequestFailedError, "Unknown user group: 'nobody'"):
            await rm.devices_allowed(reload=True, user_group="nobody")


async def permissions(scene):
    rm = scene.rm
    before = (await rm.permissions_get())["user_group_permissions"]
    assert {"root", "primary", "observer"} <= set(before["user_groups"])
    uid = (await scene.status())["plans_allowed_uid"]
    narrow = {"user_groups": before["user_groups"] | {"primary": {"allowed_plans": [":^count$"], "allowed_devices": [None]}}}
    await rm.permissions_set(narrow)
    assert (await scene.status())["plans_allowed_uid"] != uid
    assert set((await rm.plans_allowed())["plans_allowed"]) == {"count"}
    with raises(rm.RequestFailedError, "not in the list of allowed plans"):
        await rm.item_add(BPlan("quick"))
    with raises(rm.RequestFailedError, "Error: "):
        await rm.permissions_set({"user_groups": {"primary": {}}})
    await rm.permissions_reload(restore_plans_devices=True)
    assert (await rm.permissions_get())["user_group_permissions"] == before
    assert "quick" in (await rm.plans_allowed(reload=True))["plans_allowed"]


async def adding(scene):
    rm = scene.rm
    assert rm.user == "Queue Server API User"
    await rm.set_user_name_to_login_name()
    assert rm.user
    rm.user, rm.user_group = "Ada", "primary"
    first = await rm.item_add(count(1))
    assert (first["qsize"], first["item"]["name"], first["item"]["user_group"]) == (1, "count", "primary"), first
    assert scene.me in (None, first["item"]["user"]), first
    uid = first["item"]["item_uid"]
    await rm.item_add(count(2), pos="front")
    await rm.item_add(BItem("plan", "count", ["det"], num=3), before_uid=uid)
    await rm.item_add(count(4).to_dict(), after_uid=uid)
    await rm.item_add(count(5), pos=-1)
    assert await scene.names() == [2, 3, 1, 4, 5]
    plan = count(6)
    plan.meta = {"sample": "steel"}
    assert (await rm.item_add(plan))["item"]["meta"] == {"sample": "steel"}
    assert (await rm.item_add(BInst("queue_stop")))["item"]["item_type"] == "instruction"
    with raises(rm.RequestFailedError, "Ambiguous parameters"):
        await rm.item_add(count(9), pos=1, after_uid=uid)
    if not scene.is_http:
        assert (await rm.item_add(count(7), user="Bob", user_group="observer"))["item"]["user"] == "Bob"
    await rm.queue_clear()
    assert (await scene.status())["items_in_queue"] == 0


async def batches(scene):
    rm = scene.rm
    added = await rm.item_add_batch([count(1), count(2).to_dict(), BPlan("count", ["det"], num=3)])
    assert [result["success"] for result in added["results"]] == [True] * 3
    uids = [item["item_uid"] for item in added["items"]]
    await rm.item_add_batch([count(8), count(9)], pos="front")
    assert await scene.names() == [8, 9, 1, 2, 3]
    with raises(rm.RequestFailedError, "validation of 1 out of 2 submitted items failed"):
        await rm.item_add_batch([count(4), BPlan("no_such_plan")])
    moved = await rm.item_move_batch(uids=[uids[2], uids[0]], pos_dest="front")
    assert [item["kwargs"]["num"] for item in moved["items"]] == [3, 1]
    assert await scene.names() == [3, 1, 8, 9, 2]
    await rm.item_move_batch(uids=[uids[2], uids[0]], after_uid=uids[1], reorder=True)
    assert await scene.names() == [8, 9, 2, 3, 1]
    removed = await rm.item_remove_batch(uids=[uids[0], "unknown"])
    assert ([item["item_uid"] for item in removed["items"]], removed["qsize"]) == ([uids[0]], 4)
    with raises(rm.RequestFailedError, "The queue does not contain items"):
        await rm.item_remove_batch(uids=[uids[1], "unknown"], ignore_missing=False)
    assert await scene.names() == [8, 9, 2, 3]


async def changing(scene):
    rm = scene.rm
    uids = [(await rm.item_add(count(num)))["item"]["item_uid"] for num in (1, 2, 3)]
    item = (await rm.item_get(uid=uids[1]))["item"]
    assert (await rm.item_get())["item"]["item_uid"] == uids[2]
    assert (await rm.item_get(pos=0))["item"]["item_uid"] == uids[0]
    item["kwargs"]["num"] = 22
    assert (await rm.item_update(item))["item"]["item_uid"] == uids[1]
    replaced = BItem(item)
    replaced.kwargs = {"num": 23}
    new = (await rm.item_update(replaced, replace=True))["item"]["item_uid"]
    assert new != uids[1]
    assert await scene.names() == [1, 23, 3]
    with raises(rm.RequestFailedError, "Failed to replace item: Item with UID"):
        await rm.item_update(item)
    await rm.item_move(pos="back", pos_dest="front")
    await rm.item_move(uid=uids[0], after_uid=new)
    await rm.item_move(uid=uids[0], before_uid=new)
    assert await scene.names() == [3, 1, 23]
    assert (await rm.item_remove(pos="front"))["item"]["item_uid"] == uids[2]
    assert (await rm.item_remove(uid=new))["qsize"] == 1
    with raises(rm.RequestFailedError, "Failed to get an item: "):
        await rm.item_get(pos=5)
    queue = await rm.queue_get()
    assert (len(queue["items"]), queue["running_item"]) == (1, {})


async def modes(scene):
    rm = scene.rm

    async def mode():
        return (await scene.status())["plan_queue_mode"]

    await rm.queue_mode_set(loop=True)
    assert await mode() == {"loop": True, "ignore_failures": False}
    await rm.queue_mode_set(mode={"ignore_failures": True})
    assert await mode() == {"loop": True, "ignore_failures": True}
    await rm.queue_mode_set(mode="default")
    assert await mode() == {"loop": False, "ignore_failures": False}
    with raises(rm.RequestFailedError, "Failed to set queue mode: "):
        await rm.queue_mode_set(mode={"nonsense": True})
    await rm.queue_autostart(True)
    assert (await scene.status())["queue_autostart_enabled"] is True
    await rm.queue_autostart(False)
    assert (await scene.status())["queue_autostart_enabled"] is False


CHAPTERS = (connecting, refusals, nobody_answers, lists, permissions, adding, batches, changing, modes)
