"""The extension: composes the gateway inside a Jupyter server, and starts and ends what lives beside it.

The manager is hosted, not contained: it runs in processes of its own, so that neither a restart nor a blocked loop of this
server touches the queue.  Nothing about the queue is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgspec
import zmq.asyncio
from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Dict, Enum, List, Unicode

from ..client.errors import SettingsError
from ..client.target import Target, check_address
from ..core.addresses import Z85_KEY
from ..instance import Instance, Runtime, find_instance, read_runtime
from .activity import Activity
from .attendance import Attendance
from .feed import Feed
from .first_version import at_root, refuse_the_rest
from .identity import UserGroups
from .keeper import ManagerKeeper
from .paths import as_patterns
from .refusals import Refusal
from .requests import Requests
from .routes import Means, make_routes

#: Seconds from one mark of activity to the next while the queue is at work.
_BEAT_EVERY = 10.0
#: Seconds for the orderly end of manager, worker and watchdog.
_END_LIMIT = 20.0

_STATUS_REQUEST = b'{"method":"status","params":{}}'
_STOP_REQUEST = b'{"method":"manager_stop","params":{"option":"safe_on"}}'
_STOP_ANYWAY_REQUEST = b'{"method":"manager_stop","params":{"option":"safe_off"}}'
#: States in which nothing but an environment is lost by an end at once.
_BETWEEN = frozenset({"creating_environment", "closing_environment", "destroying_environment"})


class QueueServerExtension(ExtensionApp):
    """Serves the queue under ``<base_url>queueserver/api``."""

    name = "jupyter_queueserver"

    data_dir = Unicode(
        help="Data directory of the instance; empty: $JUPYTER_QUEUESERVER_DATA_DIR, else the one of this user."
    ).tag(config=True)
    address = Unicode(
        help="0MQ address of a manager that is run by somebody else; empty: the manager of the data directory,"
        " which is started if it does not run."
    ).tag(config=True)
    events_address = Unicode(help="0MQ address of the event stream of the manager given by `address`; empty: it has none.").tag(
        config=True
    )
    public_key = Unicode(help="CurveZMQ key (Z85) of the manager given by `address`; empty: not encrypted.").tag(config=True)
    startup_dir = Unicode(help="Directory with startup files of the environment.").tag(config=True)
    startup_profile = Unicode(help="IPython profile whose startup directory is used.").tag(config=True)
    startup_module = Unicode(help="Importable module with startup code.").tag(config=True)
    startup_script = Unicode(help="Script with startup code.").tag(config=True)
    use_ipython_kernel = Bool(True, help="Whether consoles may be attached to the environment.").tag(config=True)
    user_group = Unicode("primary", help="User group of everybody whom `user_groups` does not name.").tag(config=True)
    user_groups = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        help="User group by user name; the name '*' stands for all others and beats `user_group`.",
    ).tag(config=True)
    trusted_users = List(
        Unicode(),
        help="User names of gateways that know their own users: in their requests `user` and `user_group` of the body count."
        " In those of all others they are overwritten by who is logged in.",
    ).tag(config=True)
    legacy_root = Bool(
        False, help="Whether the routes are also served without prefix, as by the first version's web server."
    ).tag(config=True)
    manager_options = List(Unicode(), help="Further options of start-re-manager, word by word.").tag(config=True)
    end_manager = Enum(
        ("started", "always", "never"),
        "started",
        help="Whether an idle manager is ended with this server: if this server started it, always, or never."
        " One with a running or paused plan always stays, and one to which another Jupyter server is attached.",
    ).tag(config=True)

    refusal: str = ""
    """Why nothing is served; empty: it is."""
    instance_found: Instance
    keeper: ManagerKeeper | None = None
    activity: Activity

    def initialize_settings(self) -> None:
        """Find the manager's addresses; nothing is started yet."""
        assert self.serverapp is not None
        self.instance_found = find_instance(self.data_dir or None)
        self.activity = Activity(self.serverapp.web_app.settings)
        try:
            target = self._find_target()
        except SettingsError as err:
            self.refusal = str(err)
            self.log.critical("The queue is not served here: %s", err)
            return
        self._context = zmq.asyncio.Context()
        self._tasks: list[asyncio.Task[None]] = []
        self._events_address = target.events
        self.requests = Requests(self._context, target, self._silence_reason, self._unanswered)
        self._feed = Feed(
            self._context, self._events_address, self._ask_status, on_status=self.activity.see, on_goodbye=self.activity.ended
        )

    def _find_target(self) -> Target:
        """Get the addresses of the manager that is meant; raises `SettingsError`."""
        if not self.address:
            with contextlib.suppress(OSError):  # who keeps the manager tells it
                self.instance_found.prepare_data().record_sockets()  # these addresses are kept: they must not change
            return Target(
                control=self.instance_found.control_address,
                events=self.instance_found.events_address,
                public_key=None,
                origin=f"private address of {self.instance_found.data_dir}",
            )
        if self.public_key and not Z85_KEY.fullmatch(self.public_key):
            raise SettingsError("QueueServerExtension.public_key must be Z85 text of 40 characters.")
        return Target(
            control=check_address(self.address),
            events=check_address(self.events_address) if self.events_address else None,
            public_key=self.public_key or None,
            origin="QueueServerExtension.address",
        )

    def initialize_handlers(self) -> None:
        """Add the routes."""
        if self.refusal:
            return
        groups = UserGroups(self.user_group, self.user_groups, frozenset(self.trusted_users))
        routes = make_routes(Means(self.requests, self._context, self._events_address, self._feed, groups))
        self.handlers.extend(as_patterns([*routes, *(at_root(routes) if self.legacy_root else ())]))
        if self.legacy_root:
            assert self.serverapp is not None
            refuse_the_rest(self.serverapp.web_app)

    async def _ask_status(self) -> bytes:
        return await self.requests.send(_STATUS_REQUEST, repeatable=True)

    def _silence_reason(self) -> str:
        return self.keeper.reason if self.keeper is not None else ""

    def _unanswered(self) -> None:
        if self.keeper is not None:
            self.keeper.try_again()

    def current_activity(self) -> dict[str, str] | None:  # type: ignore[override]
        """What goes on; Jupyter does not end an inactive server while this is not empty."""
        return self.activity.current

    async def _start_jupyter_server_extension(self, serverapp: Any) -> None:
        """Begin to keep a manager and to watch its activity; returns at once."""
        if self.refusal:
            return
        if not self.address:
            try:
                await asyncio.to_thread(Attendance(self.instance_found).note)
            except OSError as err:
                self.log.warning("Other Jupyter servers cannot see that this one is there: %s", err)
            self.keeper = ManagerKeeper(self.instance_found, self.start_options(), self.log, given=self.given_options())
            self.keeper.start()
        self._tasks = [asyncio.create_task(self._feed.run()), asyncio.create_task(self._beat())]

    def start_options(self) -> list[str]:
        """Options of `start-re-manager` for a manager that this server starts."""
        kernel = ["--use-ipython-kernel", "ON"] if self.use_ipython_kernel else []
        return ["--private", *kernel, *self.given_options()]

    def given_options(self) -> list[str]:
        """Those of the options that are not the ones of every manager that is started by a server."""
        options = [] if self.use_ipython_kernel else ["--use-ipython-kernel", "OFF"]
        for name in ("startup_dir", "startup_profile", "startup_module", "startup_script"):
            if value := getattr(self, name):
                options += [f"--{name.replace('_', '-')}", value]
        return [*options, *self.manager_options]

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_EVERY)
            self.activity.beat()

    async def stop_extension(self) -> None:
        """Leave; an idle manager is ended as `end_manager` says."""
        if self.refusal:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self.keeper is not None:
            await self.keeper.stop()
            others = await asyncio.to_thread(Attendance(self.instance_found).withdraw)
            await self._end_manager(self.keeper, others)
            self.keeper = None
        self.requests.close()
        self._context.destroy(linger=0)

    async def _end_manager(self, keeper: ManagerKeeper, others: list[int]) -> None:
        runtime = await asyncio.to_thread(read_runtime, self.instance_found)
        if runtime is None:
            return
        if self.end_manager == "never" or (self.end_manager == "started" and not keeper.started_it):
            self.log.info("The manager (process %d) goes on.", runtime.manager.pid)
            return
        if others:
            self.log.warning(
                "The manager (process %d) goes on for the other Jupyter servers that are attached to it (process %s).",
                runtime.manager.pid,
                ", ".join(map(str, others)),
            )
            return
        reply = await self._ask(_STOP_REQUEST)
        if not reply.get("success") and _nothing_is_lost(await self._ask(_STATUS_REQUEST)):
            reply = await self._ask(_STOP_ANYWAY_REQUEST)
        if not reply.get("success"):
            self._say_how_to_come_back(runtime, str(reply.get("msg", "")))
        elif await keeper.wait_until_gone(runtime, _END_LIMIT):
            self.log.info("The manager was idle and has ended.")
        else:
            self.log.warning("The manager (process %d) was told to end and is not gone yet.", runtime.manager.pid)

    async def _ask(self, request: bytes) -> dict[str, Any]:
        """Send a request and read the reply; silence is a refusal."""
        try:
            return msgspec.json.decode(await self.requests.send(request), type=dict[str, Any])
        except (Refusal, msgspec.MsgspecError):
            return {"success": False, "msg": "it does not answer"}

    def _say_how_to_come_back(self, runtime: Runtime, refusal: str) -> None:
        """One line for who stopped the server while a plan was running or paused."""
        where = f"--data-dir {self.instance_found.data_dir}"
        self.log.critical(
            "The queue goes on without this server (manager process %d; %s). Come back with `jupyter queueserver %s`;"
            " stop plan and manager with `python -m jupyter_queueserver qserver %s manager stop safe off`.",
            runtime.manager.pid,
            refusal.removeprefix("Error: ").rstrip("."),
            where,
            where,
        )


def _nothing_is_lost(status: dict[str, Any]) -> bool:
    """Whether a manager that is not idle only opens or closes its environment: no item and no task is at work."""
    return status.get("manager_state") in _BETWEEN and not status.get("running_item_uid")
