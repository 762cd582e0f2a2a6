"""From a method and its parameters to the frame of a request, and from the frame of a reply to a dictionary.

Pure: the asynchronous and the blocking client both use this.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any, Literal

from ..api import methods
from ..core import codec
from .errors import CommunicationError, RequestFailed, RequestTimeout
from .retries import PER_BYTE
from .target import ADDRESS_VARIABLE, PUBLIC_KEY_VARIABLE, Target

Encoding = Literal["json", "msgpack"]


def default_user() -> str:
    """Name of the operating system's account; ``unknown`` where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def with_identity(method: str, params: Mapping[str, Any], user: str, user_group: str) -> dict[str, Any]:
    """Add ``user`` and ``user_group`` where the method has these parameters and the caller gave none."""
    declared = methods().get(method)
    if declared is None or declared.lenient:
        return dict(params)
    known = declared.parameter_names
    identity = {"user": user, "user_group": user_group}
    return {**{name: value for name, value in identity.items() if name in known}, **params}


def encoding_for(target: Target, chosen: Encoding) -> Encoding:
    """Return the encoding to be used: the private address of an instance always speaks JSON."""
    return "json" if target.is_private else chosen


def encode(method: str, params: Mapping[str, Any], encoding: Encoding) -> bytes:
    """Make the frame of a request; raises ``TypeError`` for values that the wire cannot carry."""
    request = {"method": method, "params": dict(params)}
    if encoding == "msgpack":
        return codec.to_msgpack(request)
    return codec.python_json(request)  # not the faster encoder: it writes NaN as null


def decode(frame: bytes, encoding: Encoding, target: Target) -> dict[str, Any]:
    """Read the frame of a reply; raises `CommunicationError`."""
    try:
        reply = codec.from_msgpack(frame) if encoding == "msgpack" else codec.from_json(frame)
    except ValueError as err:
        raise CommunicationError(
            f"The answer from {target.control} is no {encoding}: {err}. Use the encoding of the server"
            " (QSERVER_ZMQ_ENCODING, or --zmq-encoding)."
        ) from err
    if not isinstance(reply, dict):
        raise CommunicationError(f"The answer from {target.control} is no object; is a queue manager there?")
    return reply


def checked(reply: dict[str, Any]) -> dict[str, Any]:
    """Return the reply; raises `RequestFailed` if it refuses.  A reply without ``success`` counts as success."""
    if reply.get("success", True):
        return reply
    raise RequestFailed(reply)


def patience(timeout: float, request: bytes) -> float:
    """Seconds to wait for an answer: the timeout, and 2 s more for each MB of the request (a batch is checked item by item)."""
    return timeout + len(request) * PER_BYTE


def timed_out(method: str, timeout: float, target: Target, request_id: Any) -> RequestTimeout:
    """Make the error that says what was tried and what to do; ``request_id`` is that of the request, None: it had none."""
    encryption = (
        "" if target.public_key or target.control.startswith("ipc:") else (f" If the server encrypts, set {PUBLIC_KEY_VARIABLE}.")
    )
    repeated = (
        ""
        if request_id is None
        else f" It may have been done all the same: ask again with request_id={request_id!r} (qserver: --request-id), and it is"
        " not done twice."
    )
    made = RequestTimeout(
        f"timeout occurred: no answer to '{method}' from {target.control} ({target.origin}) within {timeout:.3g} s."
        " Is the manager running? Start it with `python -m jupyter_queueserver start-re-manager`, or name another"
        f" address with -a or {ADDRESS_VARIABLE}.{encryption}{repeated}"
    )
    made.request_id = request_id
    return made
