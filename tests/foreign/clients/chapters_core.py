"""One short chapter with what every client does: connect, open, add, run, read a console line and the history."""

from chapters_run import read_console_line
from scene import PATIENCE, count


async def core(scene):
    rm = scene.rm
    assert (await rm.status())["msg"].startswith("RE Manager v")
    await scene.need_environment()
    await rm.console_monitor.enable()
    await read_console_line(scene)
    await rm.console_monitor.disable_wait(timeout=10)
    uid = (await rm.item_add(count(3)))["item"]["item_uid"]
    await rm.queue_start()
    await rm.wait_for_idle(timeout=PATIENCE)
    last = (await rm.history_get())["items"][-1]
    assert (last["item_uid"], last["result"]["exit_status"]) == (uid, "completed"), last
    await rm.close()


CHAPTERS = (core,)
