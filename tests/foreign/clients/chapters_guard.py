"""Chapters about locks, credentials, and the end of the manager."""

import contextlib

from bluesky_queueserver_api import BFunc, BInst
from chapters_run import next_fitting
from recorder import deadline, raises
from scene import PATIENCE, count

KEY = "a key of ours"


async def locking(scene):
    rm = scene.rm
    locked = await rm.lock(KEY, environment=True, note="in the hutch", **({} if scene.is_http else {"user": "Ada"}))
    info = locked["lock_info"]
    assert (info["environment"], info["queue"], info["note"]) == (True, False, "in the hutch"), info
    assert info["emergency_lock_key_is_set"] is True
    assert scene.is_http or info["user"] == "Ada"
    assert KEY not in str(locked)
    assert (await scene.status())["lock"] == {"environment": True, "queue": False}
    with raises(rm.RequestFailedError, "Invalid lock key"):
        await rm.environment_open()
    await rm.item_add(count(1))
    await rm.lock_queue(KEY)
    with raises(rm.RequestFailedError, "Invalid lock key"):
        await rm.item_add(count(2))
    await rm.item_add(count(2), lock_key=KEY)
    assert await scene.names() == [1, 2]
    await rm.lock_environment(KEY, note="still here")
    await rm.lock_all(KEY)
    assert (await scene.status())["lock"] == {"environment": True, "queue": True}
    assert (await rm.lock_info(KEY, reload=True))["lock_info"]["queue"] is True
    with raises(rm.RequestFailedError, "Invalid lock key"):
        await rm.lock_info("another", reload=True)
    with raises(rm.RequestFailedError, "RE Manager was locked with a different key"):
        await rm.lock_all("another")
    with raises(rm.RequestFailedError, "Invalid lock key"):
        await rm.unlock("another")
    assert (await rm.unlock(KEY))["lock_info"]["queue"] is False
    with raises(rm.RequestFailedError, "environment and/or queue must be selected"):
        await rm.lock(KEY)
    await rm.lock_all(KEY)
    await rm.unlock(scene.words["emergency_key"])
    assert (await rm.lock_info(reload=True))["lock_info"]["user"] is None


async def lock_keys(scene):
    rm = scene.rm
    with raises(RuntimeError):
        rm.enable_locked_api = True
    with raises(RuntimeError):
        await rm.lock_all()
    new = await rm.get_default_lock_key(new_key=True)
    assert await rm.get_default_lock_key() == new
    await rm.set_default_lock_key(KEY)
    assert rm.default_lock_key_path
    rm.lock_key = await rm.get_default_lock_key()
    assert rm.lock_key == KEY
    await rm.lock_all(note="mine")
    with raises(rm.RequestFailedError, "Invalid lock key"):
        await rm.item_add(count(1))
    rm.enable_locked_api = True
    assert rm.enable_locked_api is True
    await use_locked(scene)
    rm.enable_locked_api = False
    await rm.unlock()
    rm.lock_key = None
    assert rm.enable_locked_api is False


async def use_locked(scene):
    """Every function that carries the key, while both scopes are locked."""
    rm = scene.rm
    await rm.item_add(count(1))
    await rm.item_add_batch([count(2), count(3)])
    await rm.item_update((await rm.item_get())["item"])
    await rm.item_move(pos="front", pos_dest="back")
    await rm.item_move_batch(uids=[], pos_dest="front")
    await rm.item_remove_batch(uids=[])
    await rm.item_remove()
    await rm.queue_mode_set(loop=False)
    await rm.queue_autostart(False)
    await rm.permissions_reload()
    await rm.permissions_set((await rm.permissions_get())["user_group_permissions"])
    await rm.history_clear()
    await rm.queue_stop_cancel()
    await scene.need_environment()
    await scene.finish_task((await rm.script_upload("def three():\n    return 3\n"))["task_uid"])
    assert (await scene.finish_task((await rm.function_execute(BFunc("three")))["task_uid"]))["return_value"] == 3
    await scene.finish_task((await rm.environment_update())["task_uid"])
    await rm.item_execute(count(1))
    await rm.wait_for_idle(timeout=PATIENCE)
    await rm.queue_start()
    await rm.wait_for_idle(timeout=PATIENCE)
    await rm.kernel_interrupt()
    await rm.queue_clear()
    await rm.environment_close()
    await rm.wait_for_idle(timeout=PATIENCE)


async def credentials(scene):
    rm = scene.rm
    assert rm.auth_method == rm.AuthorizationMethods.API_KEY
    assert scene.words["token"] in str(rm.auth_key)
    scopes = await rm.api_scopes()
    assert {"read:status", "write:queue:edit", "write:execute"} <= set(scopes["scopes"]), scopes
    me = await rm.whoami()
    assert {"uuid", "type", "identities", "api_keys", "sessions", "roles", "scopes"} <= set(me), me
    assert me["identities"][0]["id"], me
    key = await rm.apikey_info()
    assert key["first_eight"] == scene.words["token"][:8], key
    assert {"expiration_time", "note", "scopes", "latest_activity"} <= set(key), key
    await rm.set_authorization_key(token=scene.words["token"])
    assert rm.auth_method == rm.AuthorizationMethods.TOKEN
    assert (await scene.status())["manager_state"] == "idle"
    await rm.set_authorization_key(api_key="wrong")
    with raises(rm.HTTPClientError, "401: Invalid API key"):
        await scene.status()
    with raises(rm.HTTPClientError, "401"):
        await rm.item_add(count(1))
    await rm.set_authorization_key(api_key=scene.words["token"])
    assert await scene.names() == []
    assert await rm.logout() == {}
    assert rm.auth_method == rm.AuthorizationMethods.NONE
    await rm.set_authorization_key(api_key=scene.words["token"])


async def no_credentials(scene):
    """A key that is taken away is away: no cookie takes its place, though the client keeps cookies."""
    rm = scene.rm
    await rm.set_authorization_key()
    with raises(rm.HTTPClientError, "401"):
        await scene.status()
    with raises(rm.HTTPClientError, "401"):
        await rm.queue_clear()
    assert await rm.api_scopes() == {"roles": [], "scopes": []}


async def no_user_database(scene):
    """What belongs to the old server's own users is refused, in a form that the client understands."""
    rm = scene.rm
    calls = [
        lambda: rm.login("ada", password="secret", provider="/toy/token"),
        lambda: rm.session_refresh(refresh_token="a.b.c"),
        lambda: rm.session_revoke(session_uid="66ee49c1-32b4-4778-8502-205e35151736"),
        lambda: rm.apikey_new(expires_in=60),
        lambda: rm.apikey_delete(first_eight=scene.words["token"][:8]),
        lambda: rm.principal_info(),
    ]
    for call in calls:
        with raises(rm.HTTPClientError) as caught:
            await call()
        assert "Jupyter" in str(caught[0]), caught[0]
        await rm.set_authorization_key(api_key=scene.words["token"])


async def trailing_slash(scene):
    """``http://host:port/queueserver/``: the websocket of the monitor then has a doubled slash in its path."""
    other = await scene.make(http_server_uri=scene.words["uri"] + "/")
    assert (await other.status())["manager_state"] == "idle"
    await other.item_add(BInst("queue_stop"))
    for name in ("system_info_monitor", "console_monitor"):
        await getattr(other, name).enable()
    await next_fitting(other.system_info_monitor, lambda said: "status" in said, other.RequestTimeoutError)
    for name in ("system_info_monitor", "console_monitor"):
        await getattr(other, name).disable_wait(timeout=10)
    await other.close()


async def ending(scene):
    rm = scene.rm
    with raises(rm.HTTPClientError if scene.is_http else rm.RequestTimeoutError, "408" if scene.is_http else "timeout"):
        await rm.send_request(method="manager_kill")
    has_time = deadline(PATIENCE)
    status = None
    while status is None:
        assert has_time(), "the manager did not come back"
        with contextlib.suppress(rm.HTTPClientError if scene.is_http else rm.RequestTimeoutError):
            status = await rm.status(reload=True)
    assert status["manager_state"] == "idle"
    await scene.need_environment()
    stopped = await rm.send_request(method="manager_stop", params={"option": "safe_on"})
    assert stopped == {"success": True, "msg": ""}
    await rm.close()


FIRST = (locking, lock_keys)
HTTP = (credentials, no_credentials, no_user_database, trailing_slash)
LAST = (ending,)
