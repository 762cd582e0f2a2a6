"""The first version of the interface, as aliases of today's methods: its commands, routes and keys, and what they meant then.

The one declaration of it; command line, HTTP routes and the second control socket are made from this table.  It must not decide
anything itself: where the first version meant something else than today, the method of today has a parameter for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from ..core.errors import RequestError, UnsupportedParameters
from .registry import COMMON_PARAMETERS, Method, methods

#: Who adds a plan through the control socket without saying it, as the first version's clients do.
IDENTITY = {"user": "first-version client", "user_group": "primary"}


class Command(NamedTuple):
    """One command of the first version.

    Attributes
    ----------
    name
        On the command line, and as a method of the control socket.
    method
        Name of the method that it stands for.
    verb, paths
        Its routes, without any prefix.
    keys
        Key of the first version -> parameter of the method; in the order of the words on the command line.
    required
        Those of the keys that may not be left out; they stand last on the command line.
    always
        Parameters of the method by which it does what the first version did, unless a request says otherwise.
    """

    name: str
    method: str
    verb: Literal["GET", "POST"]
    paths: tuple[str, ...]
    keys: Mapping[str, str] = {}
    required: tuple[str, ...] = ()
    always: Mapping[str, Any] = {}

    @property
    def modern(self) -> Method:
        """The declaration of the method."""
        return methods()[self.method]

    @property
    def names(self) -> tuple[str, ...]:
        """Keys that a request may have: its own, and those of the method that it does not name differently."""
        hidden = {*self.keys.values(), *self.keys}
        return (*self.keys, *(name for name in self.modern.parameter_names if name not in hidden))


_PLAN = {"pos": "pos", "plan": "item"}
_POS = {"pos": "pos"}
_OPTION = {"option": "option"}
#: -1 is before the last one, as of Python's ``list.insert``.
_INSERT = {"negative_pos": "insert"}
#: A plan that is ended by hand stays first in the queue.
_KEEP = {"keep_first": True}

_TABLE = (
    Command("ping", "ping", "GET", ("",)),
    Command("status", "status", "GET", ("/status",)),
    Command("environment_open", "environment_open", "POST", ("/environment/open",)),
    Command("environment_close", "environment_close", "POST", ("/environment/close",)),
    Command("environment_destroy", "environment_destroy", "POST", ("/environment/destroy",)),
    Command("plans_allowed", "plans_allowed", "GET", ("/plans/allowed",)),
    Command("devices_allowed", "devices_allowed", "GET", ("/devices/allowed",)),
    Command("queue_plan_add", "queue_item_add", "POST", ("/queue/plan/add",), _PLAN, ("plan",), _INSERT),
    Command("queue_get", "queue_get", "GET", ("/queue/get",)),
    Command("queue_plan_remove", "queue_item_remove", "POST", ("/queue/plan/remove",), _POS),
    Command("queue_plan_get", "queue_item_get", "POST", ("/queue/plan/get",), _POS),
    Command("queue_clear", "queue_clear", "POST", ("/queue/clear",)),
    Command("queue_start", "queue_start", "POST", ("/queue/start",)),
    Command("queue_stop", "queue_stop", "POST", ("/queue/stop",)),
    Command("queue_stop_cancel", "queue_stop_cancel", "POST", ("/queue/stop/cancel",)),
    Command("re_pause", "re_pause", "POST", ("/re/pause",), _OPTION),
    Command("re_resume", "re_resume", "POST", ("/re/resume",)),
    Command("re_stop", "re_stop", "POST", ("/re/stop",), always=_KEEP),
    Command("re_abort", "re_abort", "POST", ("/re/abort",), always=_KEEP),
    # Printed with an underscore in the first version's own description, where all others have a slash.
    Command("re_halt", "re_halt", "POST", ("/re/halt", "/re_halt"), always=_KEEP),
    Command("history_get", "history_get", "GET", ("/history/get",)),
    Command("history_clear", "history_clear", "POST", ("/history/clear",)),
    Command("manager_stop", "manager_stop", "POST", ("/manager/stop",), _OPTION),
    Command("test_manager_kill", "manager_kill", "POST", ("/test/manager/kill",)),
)

#: name -> command
COMMANDS: Mapping[str, Command] = {command.name: command for command in _TABLE}


def modern_params(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the method for those of the command.

    Raises
    ------
    UnsupportedParameters
        A key that neither the command nor its method has.
    RequestError
        A key is missing (``missing_parameter``), or the plan is no object (``wrong_type``).
    """
    if command.modern.lenient:
        return dict(given)
    common = {name: given[name] for name in COMMON_PARAMETERS if name in given}
    given = {name: value for name, value in given.items() if name not in common}
    for name in given:
        if name not in command.names:
            raise UnsupportedParameters(
                f"{command.name} has no parameter {name!r}. Its parameters: {', '.join(command.names) or 'none'}.", path=name
            )
    for name in command.required:
        if name not in given:
            raise RequestError(
                f"{command.name} needs the parameter {name!r}.",
                code="missing_parameter",
                hint='Send e.g. {"plan": {"name": "count", "args": [["det1", "det2"]]}}.',
                path=name,
            )
    params = {command.keys.get(name, name): value for name, value in given.items()}
    if "plan" in given:
        params[command.keys["plan"]] = _plan_item(given["plan"])
    return {**command.always, **params, **common}


def _plan_item(plan: Any) -> dict[str, Any]:
    """The first version knew no other items than plans."""
    if not isinstance(plan, Mapping):
        raise RequestError(
            f"The plan must be an object, not {type(plan).__name__}.",
            code="wrong_type",
            hint='A plan is e.g. {"name": "count", "args": [["det1", "det2"]], "kwargs": {"num": 10}}.',
            path="plan",
        )
    return {**plan, "item_type": "plan"}


def modern_request(request: Any) -> Any:
    """Return what a request of the control socket means today; one that is no command of the first version unchanged.

    Raises as `modern_params`.
    """
    if not isinstance(request, dict):
        return request
    name = request.get("method")
    command = COMMANDS.get(name) if isinstance(name, str) else None
    params = request.get("params") or {}
    if command is None or not isinstance(params, Mapping):
        return request
    known = command.modern.parameter_names
    identity = {name: value for name, value in IDENTITY.items() if name in known}
    return {**request, "method": command.method, "params": {**identity, **modern_params(command, params)}}
