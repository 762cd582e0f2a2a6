"""Chapters about what happens in the environment: plans, tasks, waiting, console output."""

import contextlib

from bluesky_queueserver_api import BFunc, BInst, BPlan, WaitMonitor
from recorder import deadline, later, raises
from scene import PATIENCE, count, long_count

SCRIPT = """
import time

def double(value, factor=2):
    print("doubling", value)
    return value * factor

def linger(seconds):
    for _ in range(int(seconds * 20)):
        time.sleep(0.05)

def blink():
    yield from bps.null()
"""

LINE = "a line for the console"


async def environment(scene):
    rm = scene.rm
    await scene.need_environment()
    with raises(rm.RequestFailedError, "RE Worker environment already exists."):
        await rm.environment_open()
    updated = await rm.environment_update()
    assert (await scene.finish_task(updated["task_uid"]))["success"]
    updated = await rm.environment_update(run_in_background=True)
    assert (await scene.finish_task(updated["task_uid"]))["success"]
    # This version of the package has no function for these.
    if not scene.is_http:
        await rm.send_request(method="manager_test", params={"test_name": "reserve_kernel"})
    metadata = await rm.send_request(method=("GET", "/api/re/metadata") if scene.is_http else "re_metadata")
    assert isinstance(metadata["re_metadata"], dict), metadata
    await rm.environment_close()
    await rm.wait_for_idle(timeout=PATIENCE)
    status = await scene.status()
    assert (status["worker_environment_exists"], status["worker_environment_state"]) == (False, "closed")
    with raises(rm.RequestFailedError, "RE Worker environment does not exist"):
        await rm.environment_close()
    await rm.environment_open()
    await rm.environment_destroy()
    await rm.wait_for_idle(timeout=PATIENCE)
    assert not (await scene.status())["worker_environment_exists"]


async def running(scene):
    rm = scene.rm
    await scene.need_environment()
    added = await rm.item_add_batch([count(1), count(2), BInst("queue_stop"), count(3)])
    uids = [item["item_uid"] for item in added["items"]]
    await rm.queue_start()
    await rm.wait_for_idle(timeout=PATIENCE)
    history = (await rm.history_get())["items"]
    assert [item["item_uid"] for item in history] == uids[:2]
    for item in history:
        result = item["result"]
        assert (result["exit_status"], result["msg"], len(result["run_uids"])) == ("completed", "", 1), result
        assert result["time_stop"] > result["time_start"]
    assert await scene.names() == [3]
    executed = await rm.item_execute(BPlan("failing_plan", ["det"]))
    await rm.wait_for_idle(timeout=PATIENCE)
    last = (await rm.history_get(reload=True))["items"][-1]
    assert last["item_uid"] == executed["item"]["item_uid"]
    assert last["result"]["exit_status"] == "failed"
    assert "simulated failure" in last["result"]["msg"]
    assert "RuntimeError" in last["result"]["traceback"]
    assert await scene.names() == [3]
    await rm.history_clear(size=2)
    assert (await scene.status())["items_in_history"] == 2
    await rm.history_clear(item_uid=uids[1])
    assert [item["item_uid"] for item in (await rm.history_get())["items"]] == [last["item_uid"]]
    await rm.history_clear()
    assert (await rm.history_get())["items"] == []


async def start_long(scene):
    """Run one long plan; returns its uid once it runs."""
    uid = (await scene.rm.item_add(long_count()))["item"]["item_uid"]
    await scene.rm.queue_start()
    await scene.wait(lambda status: status["running_item_uid"] == uid and status["re_state"] == "running")
    return uid


async def pausing(scene):
    rm = scene.rm
    await scene.need_environment()
    uid = await start_long(scene)
    assert (await rm.queue_get(reload=True))["running_item"]["item_uid"] == uid
    with raises(rm.RequestFailedError, "Queue execution is in progress."):
        await rm.environment_close()
    await rm.queue_stop()
    assert (await scene.status())["queue_stop_pending"] is True
    await rm.queue_stop_cancel()
    assert (await scene.status())["queue_stop_pending"] is False
    await rm.re_pause()
    await rm.wait_for_idle_or_paused(timeout=PATIENCE)
    assert (await scene.status())["manager_state"] == "paused"
    runs = await rm.re_runs()
    assert [run["is_open"] for run in runs["run_list"]] == [True], runs
    assert (await rm.re_runs("open"))["run_list"] == runs["run_list"]
    assert (await rm.re_runs("closed", reload=True))["run_list"] == []
    await rm.re_resume()
    await rm.wait_for_idle_or_running(timeout=PATIENCE)
    assert (await scene.status())["manager_state"] == "executing_queue"
    await rm.re_pause("immediate")
    await rm.wait_for_idle_or_paused(timeout=PATIENCE)
    await rm.re_stop()
    await rm.wait_for_idle(timeout=PATIENCE)
    assert (await rm.history_get())["items"][-1]["result"]["exit_status"] == "stopped"
    assert (await scene.status())["items_in_queue"] == 0


async def breaking_off(scene):
    rm = scene.rm
    await scene.need_environment()
    for name, status in (("re_abort", "aborted"), ("re_halt", "halted")):
        uid = await start_long(scene)
        await rm.re_pause(option="immediate")
        await rm.wait_for_idle_or_paused(timeout=PATIENCE)
        await getattr(rm, name)()
        await rm.wait_for_idle(timeout=PATIENCE)
        last = (await rm.history_get())["items"][-1]
        assert (last["item_uid"], last["result"]["exit_status"]) == (uid, status)
        back = (await rm.queue_get(reload=True))["items"]
        assert [item["name"] for item in back] == ["long_count"]
        assert back[0]["item_uid"] != uid
        await rm.queue_clear()
    with raises(rm.RequestFailedError, "RE Manager is not paused"):
        await rm.re_resume()
    await start_long(scene)
    await rm.environment_destroy()
    await rm.wait_for_idle(timeout=PATIENCE)
    last = (await rm.history_get())["items"][-1]["result"]
    assert (last["exit_status"], "environment was destroyed" in last["msg"]) == ("failed", True), last


async def autostart(scene):
    rm = scene.rm
    await scene.need_environment()
    await rm.queue_autostart(True)
    await rm.item_add(count(1))
    await scene.wait(lambda status: status["items_in_history"] == 1)
    await rm.wait_for_idle(timeout=PATIENCE)
    await rm.item_add(long_count())
    await scene.wait(lambda status: status["re_state"] == "running")
    await rm.wait_for_idle_or_running(timeout=PATIENCE)
    await rm.queue_stop()
    await rm.re_pause("immediate")
    await rm.wait_for_idle_or_paused(timeout=PATIENCE)
    await rm.re_abort()
    await rm.wait_for_idle(timeout=PATIENCE)
    assert (await scene.status())["queue_autostart_enabled"] is False


async def tasks(scene):
    rm = scene.rm
    await scene.need_environment()
    loaded = await rm.script_upload(SCRIPT)
    result = await scene.finish_task(loaded["task_uid"])
    assert (result["success"], result["return_value"]) == (True, None), result
    assert "blink" in (await rm.plans_allowed(reload=True))["plans_allowed"]
    done = await rm.function_execute(BFunc("double", 21))
    assert done["item"]["args"] == [21]
    result = await scene.finish_task(done["task_uid"])
    assert (result["success"], result["return_value"]) == (True, 42), result
    several = [
        (await rm.function_execute(BFunc("double", 1, factor=number), run_in_background=True))["task_uid"] for number in (2, 3)
    ]
    left = set(several)
    has_time = deadline(PATIENCE)
    while left:
        assert has_time(), left
        left -= set(await rm.wait_for_completed_task(left, timeout=PATIENCE))
    assert (await rm.task_status(several))["status"] == dict.fromkeys(several, "completed")
    assert [(await rm.task_result(uid))["result"]["return_value"] for uid in several] == [2, 3]
    assert (await rm.task_status("unknown"))["status"] == "not_found"
    failing = await rm.script_upload("1 / 0", update_lists=False, update_re=True)
    result = await scene.finish_task(failing["task_uid"])
    assert result["success"] is False
    assert "ZeroDivisionError" in result["traceback"]
    with raises(rm.RequestFailedError, "is not allowed for users from"):
        await rm.function_execute(BFunc("_hidden"))


async def interrupting(scene):
    rm = scene.rm
    await scene.need_environment()
    await scene.finish_task((await rm.script_upload(SCRIPT))["task_uid"])
    task_uid = (await rm.function_execute(BFunc("linger", 60)))["task_uid"]
    await scene.wait(lambda status: status["manager_state"] == "executing_task")
    with raises(rm.RequestFailedError, "RE Manager must be in idle state"):
        await rm.script_upload("1")
    with raises(rm.RequestFailedError, "Not allowed to interrupt running task"):
        await rm.kernel_interrupt()
    await rm.kernel_interrupt(interrupt_task=True)
    assert (await scene.finish_task(task_uid))["success"] is False
    await start_long(scene)
    await rm.kernel_interrupt(interrupt_plan=True)
    await rm.wait_for_idle_or_paused(timeout=PATIENCE)
    assert (await scene.status())["manager_state"] == "paused"
    await rm.re_stop()
    await rm.wait_for_idle(timeout=PATIENCE)


async def waiting(scene):
    rm = scene.rm
    await scene.need_environment()
    await rm.wait_for_idle(timeout=5)
    with raises(rm.WaitTimeoutError):
        await rm.wait_for_condition(lambda status: status["manager_state"] == "never", timeout=0.5)
    await start_long(scene)
    with raises(rm.WaitTimeoutError):
        await rm.wait_for_idle(timeout=0.5)
    monitor = WaitMonitor()
    later(0.3, monitor.cancel, scene.style)
    with raises(rm.WaitCancelError):
        await rm.wait_for_idle(timeout=PATIENCE, monitor=monitor)
    await rm.re_pause("immediate")
    await rm.wait_for_idle_or_paused(timeout=PATIENCE)
    await rm.re_halt()
    await rm.wait_for_idle(timeout=PATIENCE)


async def next_fitting(monitor, fits, error):
    """Read messages of a monitor until one fits; returns it."""
    has_time = deadline(PATIENCE)
    while has_time():
        with contextlib.suppress(error):
            message = await monitor.next_msg(timeout=1)
            if fits(message["msg"]):
                return message
    raise AssertionError("the message that was waited for did not come")


async def read_console_line(scene):
    """Print in the environment until the line arrives: what was printed before a subscription is not repeated."""
    rm = scene.rm
    has_time = deadline(PATIENCE)
    while LINE not in (await rm.console_monitor.text()).splitlines():
        assert has_time(), await rm.console_monitor.text()
        await scene.finish_task((await rm.script_upload("print('a line for', 'the console')"))["task_uid"])


async def console(scene):
    rm = scene.rm
    await scene.need_environment()
    monitor = rm.console_monitor
    monitor.text_max_lines = 500
    assert (monitor.enabled, monitor.text_max_lines) == (False, 500)
    await monitor.enable()
    assert monitor.enabled
    await read_console_line(scene)
    uid = monitor.text_uid
    message = await next_fitting(monitor, lambda text: LINE in text, rm.RequestTimeoutError)
    assert isinstance(message["time"], float)
    assert LINE in (await monitor.text(50)).splitlines()
    assert len((await monitor.text(1)).splitlines()) <= 1
    assert uid
    await monitor.clear()
    with raises(rm.RequestTimeoutError):
        await monitor.next_msg()
    await monitor.disable()
    await monitor.disable_wait(timeout=10)
    assert not monitor.enabled


async def system_info(scene):
    rm = scene.rm
    monitor = rm.system_info_monitor
    await monitor.enable()
    assert monitor.enabled
    message = await next_fitting(monitor, lambda said: "status" in said, rm.RequestTimeoutError)
    assert isinstance(message["time"], float)
    assert message["msg"]["status"].keys() >= (await scene.status()).keys()
    await rm.item_add(count(1))
    await next_fitting(monitor, lambda said: said["status"]["items_in_queue"] == 1, rm.RequestTimeoutError)
    await monitor.clear()
    await monitor.disable()
    await monitor.disable_wait(timeout=10)
    assert not monitor.enabled


CHAPTERS = (
    environment,
    running,
    pausing,
    breaking_off,
    autostart,
    tasks,
    interrupting,
    waiting,
    console,
    system_info,
)
