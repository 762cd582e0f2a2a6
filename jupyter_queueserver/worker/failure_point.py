"""Where a plan failed: the device, what it was told, the run and its last event, the line of the plan.

All of it is read from the exception and from stop documents after the end; a running plan pays nothing for it.  Users' objects
are asked for their names only; whatever they raise, the failure is reported without that.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec

from ..core.endings import FailurePoint
from .tracebacks import chain, frames, is_users

log = logging.getLogger(__name__)

#: What status objects call the device that they are about.
_DEVICE_OF_STATUS = ("device", "obj", "pos")
#: The RunEngine's loop: when it is left, its message is that of some cleanup.
_LOOP = "_run"


def failure_point(
    err: BaseException, statuses: Mapping[str, str], events: Mapping[str, Mapping[str, int]]
) -> FailurePoint | None:
    """Say where a plan failed; None if nothing is known.

    Parameters
    ----------
    err
        What left the RunEngine.
    statuses, events
        Of the item's runs, in order: exit status of the stop document; events by stream.
    """
    try:
        device, command = _device(err)
        file, line, function = _users_place(err)
    except Exception:  # users' objects take part; what is not known is left out
        log.exception("it cannot be told where the plan failed")
        device = command = file = line = function = None
    run = next((uid for uid in reversed(list(statuses)) if statuses[uid] == "fail"), None)
    point = FailurePoint(
        device=device,
        command=command,
        run_uid=run,
        events=dict(events.get(run, {})) if run is not None else {},
        file=file,
        line=line,
        function=function,
    )
    return point if msgspec.to_builtins(point) else None


def _device(err: BaseException) -> tuple[str | None, str | None]:
    """Name of the device and the command, from the message that failed or the status object that did."""
    command = None
    for each in chain(err):
        message = _failed_message(each)
        if message is not None:
            command = command or str(message.command)
            if (name := _name(message.obj)) is not None:
                return name, str(message.command)
        for argument in each.args:
            if (name := _device_of_status(argument)) is not None:
                return name, command
    return None, command


def _failed_message(err: BaseException) -> Any:
    """The message that the RunEngine worked on where the exception came from; None if it did not come from one."""
    module = sys.modules.get("bluesky.utils")
    message_type: Any = getattr(module, "Msg", None)
    for entry in reversed(frames(err)):
        frame = entry.tb_frame
        if not str(frame.f_globals.get("__name__", "")).startswith("bluesky.") or frame.f_code.co_name == _LOOP:
            continue
        message = frame.f_locals.get("msg")
        if message_type is not None and isinstance(message, message_type):
            return message
    return None


def _device_of_status(value: Any) -> str | None:
    if not (hasattr(value, "success") and hasattr(value, "done")):
        return None
    return next((name for key in _DEVICE_OF_STATUS if (name := _name(getattr(value, key, None))) is not None), None)


def _name(device: Any) -> str | None:
    name = getattr(device, "name", None)
    return name if isinstance(name, str) and name else None


def _users_place(err: BaseException) -> tuple[str | None, int | None, str | None]:
    """File, line and function of the innermost frame that is the users' own."""
    for each in chain(err):
        own: list[TracebackType] = [entry for entry in frames(each) if is_users(entry.tb_frame.f_code.co_filename)]
        if own:
            code = own[-1].tb_frame.f_code
            return code.co_filename, own[-1].tb_lineno, code.co_name
    return None, None, None
