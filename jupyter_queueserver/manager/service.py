"""The manager's process, put together: store, writer, sockets, environment, relay, heartbeat.

Composition and order of starting and ending only; every decision is the core's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import zmq
import zmq.asyncio
from msgspec.structs import replace

from ..api import Context
from ..core import effects
from ..core.changes import AnyChange, AutostartSet, PermissionsSet, apply, begin_life
from ..core.config import Config
from ..core.errors import PermissionsInvalid, StateError
from ..core.permissions import Permissions
from ..core.rules.environment import end_if_idle
from ..core.rules.permissions import PermissionFiles
from ..core.state import State, first_state
from ..core.status import manager_state
from ..documents.launch import find_relay
from ..instance import Runtime, identity_of, remove_runtime, write_runtime
from ..instance.fence import keep_fence, read_fence
from ..instance.secrecy import close_socket
from ..storage import Owner, Store
from ..version import __version__
from . import faultpoints
from .console import Console
from .control import ControlSocket
from .deadlines import Deadlines
from .diary import Diary
from .doors import Doors
from .duty import read_duty
from .environment import Environment
from .events import EventStream
from .heartbeat import Heartbeat
from .history import HistoryFetcher
from .lists_file import ListsFile
from .loglines import LogLines
from .permissions import load_permissions, read_permission_files
from .presence import watch_sockets
from .relay import LiveDocuments, Relay
from .replies import Answerer, Fetcher, local_time, people_time
from .settings import Settings
from .store_presence import attend_store
from .store_watch import watch_store
from .writer import Writer, new_uid

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Exit statuses as the watchdog reads them.
ENDED, FENCE_LOST = 0, 4


class Service:
    """A running manager.

    Parameters
    ----------
    settings
        What it works with.
    store
        Not acquired yet.
    again
        Whether it takes the place of a manager that died: autostart stays as it was.
    """

    def __init__(self, settings: Settings, store: Store, *, again: bool = False) -> None:
        self._settings = settings
        self._again = again
        self._config = Config(
            emergency_lock_key=settings.emergency_lock_key,
            permissions_reload=settings.user_group_permissions_reload,
            kernel="shown" if settings.use_ipython_kernel else "hidden",
            permitted_metadata_keys=tuple(settings.permitted_re_metadata_keys),
            confirm_returned=settings.confirm_returned,
            time_text=people_time,
        )
        self._instance = settings.instance
        mark = self._instance.data_dir / "lists.digest"
        self._lists = ListsFile(settings.existing_plans_devices, mark, settings.update_existing_plans_devices)
        self._store = store
        self._epoch = new_uid()
        self._context = zmq.asyncio.Context()
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._started = time.time()
        self._ready = False
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Serve until the end; returns the exit status."""
        fence = self._acquired()
        self._instance.prepare()  # the directory of the sockets may have been cleaned away since the last life
        self._heartbeat = Heartbeat(
            self._instance, use_pidfd=self._settings.use_pidfd, on_watchdog=lambda _: self._write_runtime()
        )
        self._build(fence, self._first_state())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_end)
        tasks = [asyncio.create_task(self._writer.run())]
        await self._environment.catch_up()
        tasks += [asyncio.create_task(work) for work in self._work()]
        for task in tasks:
            task.add_done_callback(self._stopped_working)
        self._ready = True
        self._write_runtime()
        self._heartbeat.ready(" ".join([self._doors.describe(), *getattr(self._store, "remarks", ())]))
        try:
            return await self._end
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._close()

    def _acquired(self) -> int:
        """Take the store; returns a fence above that of every manager of this data directory, whatever the store remembers."""
        fence = self._store.acquire(self._owner(), at_least=read_fence(self._instance) + 1)
        try:
            keep_fence(self._instance, fence)
        except OSError as err:  # the store has it; without both a worker that obeys nobody is told in the status
            _log.error("The fence %d could not be written down in the data directory: %s", fence, err)
        return fence

    def _owner(self) -> Owner:
        return Owner(
            host=socket.gethostname(),
            identity=identity_of(),
            address=self._instance.control_address,
            since=self._started,
        )

    def _first_state(self) -> State:
        """Load the state, or make the first one, with the permissions of the file.

        A file that cannot be used refuses the first start; later the permissions before it stay.
        """
        loaded = self._store.load()
        settings, permissions = self._settings, None
        try:
            if loaded is None or (settings.user_group_permissions_reload == "ON_STARTUP" and not self._again):
                permissions = load_permissions(settings.user_group_permissions)
        except PermissionsInvalid as err:
            if loaded is None:
                raise
            _log.error("%s; the permissions before it stay.", err.msg)
        if loaded is None:
            state = first_state(permissions)
        else:
            state = begin_life(loaded)
        for _, text in state.catalogue.permissions.dangers:
            _log.error("%s. It allows nothing, and where it forbids it forbids all: exchange it.", text)
        if permissions is not None:
            state = self._with_permissions(state, permissions, stored=loaded is not None)
        if state.autostart and not self._again:
            state = self._committed(state, AutostartSet(enabled=False))
        for change in self._lists.news(state):
            state = self._committed(state, change)
        self._lists.taken_over()
        return replace(state, time=self._started)

    def _with_permissions(self, state: State, permissions: Permissions, *, stored: bool) -> State:
        wire = permissions.to_wire()
        if stored and wire == state.catalogue.permissions.to_wire():
            return state
        return self._committed(state, PermissionsSet(permissions=wire))

    def _committed(self, state: State, change: AnyChange) -> State:
        after = apply(state, change, self._started)
        self._store.commit([change], after)
        return begin_life(after)

    def _build(self, fence: int, state: State) -> None:
        settings, instance = self._settings, self._instance
        self._environment = Environment(
            instance,
            settings,
            fence,
            on_console=self._look_at_console,
            on_opened=self._environment_opened,
            on_replaced=self._fence_lost,
        )
        self._diary = Diary(state, confirm_returned=settings.confirm_returned)
        self._writer = Writer(self._store, state, self, self._act, self._fence_lost, self._config)
        self._environment.connect(self._writer)
        self._deadlines = Deadlines(self._writer, settings)
        history = HistoryFetcher(self._writer, self._store)
        fetchers: dict[str, Fetcher] = {
            "permission_files": self._read_permission_files,
            "re_metadata": lambda _: self._environment.read_metadata(),
            "history_page": history.page,
            "history_number": history.number,
            "history_uids": history.known,
        }
        self._answerer = Answerer(self._writer, self._reading_context, fetchers, self._environment.looked_for)
        self._console = Console(self._tell_console)
        self._control = self._bound(
            instance.control_address, lambda address: ControlSocket(self._context, address, self._answerer)
        )
        self._events = EventStream(
            self._context,
            instance.events_address,
            self._epoch,
            state=lambda: self._writer.state,
            status=self._answerer.status_text,
            console=self._console.tail,
        )
        self._live = LiveDocuments(
            self._context, instance.documents_address, lambda text: self._events.tell_text("documents", text)
        )
        self._relay = Relay(instance, settings, self._is_relay_wanted)
        self._doors = Doors(self._context, settings, self._answerer, self._write_runtime)
        self._log_lines = LogLines(self._published_logs(), self._tell_log)
        try:
            self._doors.open(patient=self._again)
        except OSError:
            self._leave_sockets()
            raise

    def _is_relay_wanted(self) -> bool:
        """There are documents also of a worker that lives and cannot be reached."""
        return self._environment.link is not None or self._writer.state.environment.unreachable is not None

    def _published_logs(self) -> list[Path]:
        logs = self._instance.logs
        return [logs / "manager.log", logs / "watchdog.log"] if self._settings.manager_console else []

    def _bound(self, address: str, make: Callable[[str], T]) -> T:
        """Make a private socket; raises ``OSError`` with address and advice if it cannot be bound."""
        try:
            made = make(address)
            close_socket(address)
            return made
        except zmq.ZMQError as err:
            self._leave_sockets()
            raise OSError(f"The address {address} cannot be used: {err.strerror}. Check the directory.") from err

    def _leave_sockets(self) -> None:
        self._context.destroy(linger=0)
        self._remove_sockets()

    def _work(self) -> list[Any]:
        return [
            self._control.run(),
            self._doors.run(),
            self._log_lines.run(),
            self._events.run(),
            self._live.run(),
            self._relay.run(),
            self._heartbeat.run(),
            self._environment.run(),
            self._environment.attend(),
            self._deadlines.run(),
            watch_sockets(self._instance),
            watch_store(self._store, self._writer.store_damaged),
            attend_store(self._store, self._writer, self._fence_lost),
        ]

    def _write_runtime(self) -> None:
        if not self._ready:
            return
        write_runtime(
            self._instance,
            Runtime(
                epoch=self._epoch,
                manager=identity_of(),
                watchdog=self._heartbeat.watchdog,
                control_address=self._instance.control_address,
                events_address=self._instance.events_address,
                tcp_address=self._doors.control_address,
                info_address=self._doors.info_address,
                public_key=_public_key(self._settings.zmq_private_key),
                version=__version__,
                started=self._started,
            ),
        )

    def _reading_context(self) -> Context:
        link = self._environment.link
        return Context(
            epoch=self._epoch,
            version=__version__,
            local_time=local_time,
            kernel=self._config.kernel,
            config=self._config,
            store_failure=self._writer.store_failure,
            connection=link.connection_info if link is not None else {},
        )

    async def _read_permission_files(self, _: Mapping[str, Any]) -> PermissionFiles:
        settings = self._settings
        return await asyncio.to_thread(read_permission_files, settings.user_group_permissions, settings.existing_plans_devices)

    # -- what others tell ----------------------------------------------------------------------

    def publish(self, changes: Sequence[AnyChange], first_seq: int, state: State) -> None:
        """Send committed changes to everybody who listens."""
        faultpoints.reach("publish", changes)
        self._lists.changed(changes, state)
        self._diary.note(changes)
        self._deadlines.look()
        self._events.publish(changes, first_seq, state, self._writer.asker)
        self._doors.status_changed()
        faultpoints.reach("published", changes)

    def _tell_console(self, message: dict[str, Any]) -> None:
        self._events.tell("console", message)
        if self._settings.console_output:
            path = self._instance.environment_dir(message["environment_id"]) / "console.log"
            self._heartbeat.console(str(path), message["offset"])
        self._doors.console(message["text"])

    def _tell_log(self, text: str) -> None:
        self._events.tell("console", {"kind": "log", "text": text, "time": time.time()})
        self._doors.console(text)

    def _look_at_console(self) -> None:
        self._console.look()

    def _environment_opened(self) -> None:
        link = self._environment.link
        if link is not None:
            self._console.follow(link.environment_id, link.console, from_end=link.adopted)
        self._relay.need()

    def _act(self, effect: effects.AnyEffect) -> asyncio.Task[str | None]:
        if isinstance(effect, effects.StopManager):
            return asyncio.create_task(self._stop())
        if isinstance(effect, effects.KillManager):
            _log.warning("The manager's loop is blocked on request, to test the watchdog.")
            while True:
                time.sleep(3600)
        faultpoints.reach("act", [effect])
        task = self._environment.act(effect)
        faultpoints.reach_later(task, "acted", [effect])
        return task

    # -- ending --------------------------------------------------------------------------------

    def _asked_to_end(self) -> None:
        asking = asyncio.create_task(self._decide_end())
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)

    async def _decide_end(self) -> None:
        """A signal asks for the end: decided like a request, so that nothing is accepted any more once it is."""
        try:
            ends = (await self._writer.submit(end_if_idle, is_wish=True)).result
        except StateError:  # it ends already
            self._heartbeat.ending()
            return
        if not ends:
            self._heartbeat.busy(describe_work(self._writer.state))

    async def _stop(self) -> None:
        """End everything that belongs to this manager, on a wish."""
        self._heartbeat.ending()
        self._instance.stopped_mark.touch(mode=0o600)
        await asyncio.sleep(0.02)  # the answer to who asked for it goes out first
        await self._environment.end()
        self._console.finish()
        await self._relay.end()
        self._finish(ENDED)

    def _fence_lost(self) -> None:
        _log.error("Another manager has taken over the store; this one ends.")
        self._finish(FENCE_LOST)

    def _stopped_working(self, task: asyncio.Task[Any]) -> None:
        """A part that ends by itself is a fault: the manager ends, and the watchdog starts another."""
        if task.cancelled() or self._end.done():
            return
        _log.critical("A part of the manager stopped.", exc_info=task.exception())
        self._finish(5)

    def _finish(self, status: int) -> None:
        if not self._end.done():
            self._end.set_result(status)

    async def _close(self) -> None:
        status = self._end.result() if self._end.done() else 5
        if status == ENDED:
            remove_runtime(self._instance)
        await self._environment.detach()
        await self._lists.close()
        self._relay.leave()
        await self._control.close()
        self._log_lines.look()
        await self._doors.close()
        await self._events.close("The manager ends.")
        self._live.close()
        self._heartbeat.close()
        self._writer.close()
        self._context.destroy(linger=200)
        if status == ENDED:
            self._remove_sockets()

    def _remove_sockets(self) -> None:
        for name in ("control", "events", "documents.ipc"):
            (self._instance.sockets / name).unlink(missing_ok=True)
        self._remove_bells_of_the_dead()
        with contextlib.suppress(OSError):
            self._instance.sockets.rmdir()

    def _remove_bells_of_the_dead(self) -> None:
        """A watchdog or relay that was killed, and that nobody has followed yet, could not take its own away."""
        if read_duty(self._instance) is None:
            self._instance.watchdog_bell.unlink(missing_ok=True)
        if find_relay(self._instance.data_dir) is None:
            self._instance.relay_bell.unlink(missing_ok=True)


def describe_work(state: State) -> str:
    """Say what is going on, as part of a sentence."""
    if state.running is None:
        return f"the manager is in state '{manager_state(state)}'"
    doing = "paused" if state.execution.state == "paused" else "running"
    return f"plan '{state.running.name}' (uid {state.running.item_uid}) is {doing}"


def _public_key(private_key: str | None) -> str | None:
    if private_key is None:
        return None
    import zmq

    return zmq.curve_public(private_key.encode()).decode()
