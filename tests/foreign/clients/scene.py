"""What a chapter of the conversation is given: the API object, where the server is, and words that all chapters use."""

import importlib
from dataclasses import dataclass

from bluesky_queueserver_api import BPlan
from recorder import Recorder

#: Seconds that anything may take that is not measured.
PATIENCE = 30


@dataclass
class Scene:
    """A client and its server.

    Attributes
    ----------
    words
        From the command line: ``protocol``, ``style``, ``control``, ``info``, ``uri``, ``token``, ``emergency_key``.
    rm
        The API object, recorded.
    """

    words: dict
    rm: object = None

    @property
    def is_http(self):
        return self.words["protocol"] == "http"

    @property
    def style(self):
        return self.words["style"]

    @property
    def me(self):
        """User name that the server writes into items; None: what Jupyter says."""
        return None if self.is_http else self.rm.user

    async def make(self, **changes):
        """Another API object, as users make it.  Must be called within the conversation: the asyncio form wants its loop."""
        suffix = ".aio" if self.style == "asyncio" else ""
        kind = importlib.import_module(f"bluesky_queueserver_api.{self.words['protocol']}{suffix}").REManagerAPI
        if self.is_http:
            options = {"http_server_uri": self.words["uri"]}
        else:
            options = {"zmq_control_addr": self.words["control"], "zmq_info_addr": self.words["info"]}
        token = changes.pop("token", self.words["token"])
        made = kind(**(options | {"status_polling_period": 0.2} | changes))
        if self.is_http:
            made.set_authorization_key(api_key=token)
        return Recorder(made)

    async def status(self):
        """The status as it is now."""
        return await self.rm.status(reload=True)

    async def wait(self, condition):
        """Wait for a status."""
        await self.rm.wait_for_condition(condition, timeout=PATIENCE)

    async def need_environment(self):
        """Open the environment if it is not."""
        if not (await self.status())["worker_environment_exists"]:
            await self.rm.environment_open()
            await self.rm.wait_for_idle(timeout=PATIENCE)
            assert (await self.status())["worker_environment_exists"], "the environment did not open"

    async def finish_task(self, task_uid):
        """Wait for a task; returns its result."""
        done = await self.rm.wait_for_completed_task(task_uid, timeout=PATIENCE)
        assert done == {task_uid: "completed"}, done
        return (await self.rm.task_result(task_uid))["result"]

    async def names(self):
        """``num`` of each plan in the queue, which is how the chapters tell them apart."""
        return [item["kwargs"]["num"] for item in (await self.rm.queue_get(reload=True))["items"]]


def count(num):
    """A short plan; ``num`` tells it from others."""
    return BPlan("count", ["det"], num=num)


def long_count(seconds=60):
    """A plan with many checkpoints that does not end by itself in time."""
    return BPlan("long_count", ["det"], seconds=seconds, step=0.05)


async def reset(scene):
    """Bring the server back to idle, unlocked and empty, whatever the chapter before has left."""
    api = Recorder(scene.rm._target)
    if scene.is_http:
        await api.set_authorization_key(api_key=scene.words["token"])
    status = await api.status(reload=True)
    if any(status["lock"].values()):
        await api.unlock(scene.words["emergency_key"])
    if api.lock_key is not None:
        api.lock_key = None
    if status["queue_autostart_enabled"]:
        await api.queue_autostart(False)
    if status["manager_state"] != "idle":
        await api.environment_destroy()
        await api.wait_for_idle(timeout=PATIENCE)
    if any(status["plan_queue_mode"].values()):
        await api.queue_mode_set(mode="default")
    await api.permissions_reload()
    await api.queue_clear()
    await api.history_clear()
