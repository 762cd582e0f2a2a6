"""From a request to its method, and from a refusal to its reply: the same for every way in.

Pure: the manager, the tests and whoever wants an interface in one process all use this.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any

import msgspec

from ..core.codec import HasJson, Verbatim, to_json
from ..core.config import Config
from ..core.decision import Step
from ..core.errors import MalformedRequest, QueueServerError, RequestError, UnknownMethod, UnsupportedParameters, shortened
from ..core.requests import RequestKey, request_key
from ..core.rules import requests as request_rules
from ..core.rules.lock import require_key
from ..core.rules.submission import echoed
from ..core.state import State
from .registry import COMMON_PARAMETERS, Context, Method, Present, Sent, methods

_ENVELOPE = ("method", "params")


class Call(msgspec.Struct, frozen=True):
    """A request whose envelope is right.

    Attributes
    ----------
    params
        Those of the method, as they were sent.
    request_id, request_user
        As they were sent; None: they were not.
    """

    method: Method
    params: Mapping[str, Any]
    request_id: Any = None
    request_user: Any = None

    def asker(self) -> str | None:
        """Return who asks: the user that the door knows, else the one that the request names; None: nobody is named."""
        named = self.params.get("user") if isinstance(self.params, Mapping) else None
        user = self.request_user or named
        return user if isinstance(user, str) and user else None

    def key(self) -> RequestKey | None:
        """Return by what a retry is known, None without an id; raises `RequestError`."""
        if self.request_id is None or not self.method.is_recorded:
            return None
        user = self.request_user if isinstance(self.request_user, str) else None
        return request_key(self.request_id, self.method.name, self.params, user)


class Repeated(msgspec.Struct, frozen=True):
    """What is decided for a request that was done before: it is answered as then."""

    request_id: str


def parse_request(request: Any) -> Call:
    """Read the envelope; raises `MalformedRequest` or `UnknownMethod` in the exact words of the interface."""
    if isinstance(request, str):
        raise MalformedRequest(f"Failed to decode the request: {shortened(request)} is a text, not an object")
    if not isinstance(request, dict):
        raise MalformedRequest(f"Incorrect request type: {type(request).__name__}. Dictionary is expected")
    if "method" not in request:
        raise MalformedRequest(f"Invalid request format: method is not specified: {shortened(request)}")
    surplus = [key for key in request if key not in _ENVELOPE]
    if surplus:
        raise MalformedRequest(f"Request contains unexpected keys {surplus}. Allowed keys: {_ENVELOPE}")
    name = request["method"]
    method = methods().get(name) if isinstance(name, str) else None
    if method is None:
        raise UnknownMethod(f"Unknown method {name!r}")
    return _call(method, request.get("params", {}))


def _call(method: Method, params: Any) -> Call:
    if not isinstance(params, Mapping) or params.keys().isdisjoint(COMMON_PARAMETERS):
        return Call(method, params)
    own = {name: value for name, value in params.items() if name not in COMMON_PARAMETERS}
    return Call(method, own, *map(params.get, COMMON_PARAMETERS))


def checked_params(call: Call) -> dict[str, Any]:
    """Return the parameters with their defaults; raises for unknown ones and for a key that is no text."""
    method = call.method
    if method.lenient:
        return {}
    params = call.params
    if not isinstance(params, Mapping):
        raise RequestError(
            f"Parameters of the method must be a dictionary, not {type(params).__name__}",
            code="malformed_request",
            hint="Send 'params' as an object, or leave it out.",
            path="params",
        )
    known = method.parameter_names
    unknown = [name for name in params if name not in known]
    if unknown and not method.lenient_names:
        shown = repr(unknown[0]) if len(unknown) == 1 else repr(unknown)
        raise UnsupportedParameters(
            f"API request contains unsupported parameters: {shown}. Supported parameters: {list(known)}",
            path=str(unknown[0]),
        )
    if method.lock is not None:
        _check_lock_key(params)
    return {parameter.name: params.get(parameter.name, parameter.default) for parameter in method.parameters}


def _check_lock_key(params: Mapping[str, Any]) -> None:
    key = params.get("lock_key")
    if key is not None and not isinstance(key, str):
        raise RequestError(
            f"Lock key must be a non-empty string or None: lock_key = {key!r}",
            code="wrong_type",
            hint="Send the key as text, or leave it out.",
            path="lock_key",
        )


def read_call(call: Call, state: State, context: Context, fetched: Any = None) -> dict[str, Any]:
    """Answer a reading method from a state and what was fetched for it."""
    try:
        params = checked_params(call)
        if call.method.fetch is not None:
            params["fetched"] = _usable(fetched)
        reply = call.method.function(state, context, **params)
    except QueueServerError as err:
        return refuse(call, err, state)
    return reply if call.method.lenient else {"success": True, "msg": "", **reply}


def _usable(fetched: Any) -> Any:
    if isinstance(fetched, QueueServerError):
        raise fetched
    return fetched


def _unlocked_params(call: Call, state: State, config: Config) -> dict[str, Any]:
    """The parameters, unless something is locked that the method changes."""
    params = checked_params(call)
    if call.method.lock is not None:
        require_key(state.lock, call.method.lock, params["lock_key"], config)
    return params


def may_fetch(call: Call, state: State, config: Config) -> dict[str, Any]:
    """Raise what would be refused anyway, before anything is fetched for the method; returns its parameters."""
    return _unlocked_params(call, state, config)


def prepare(call: Call, state: State, new_uid: Callable[[], str], config: Config | None = None) -> Generator[None, None, Any]:
    """Run the long checks of a writing method; yields between slices, returns what `decide` wants.

    What it found holds as long as ``state.catalogue`` stays the same object.
    """
    params = _unlocked_params(call, state, config or Config())
    if call.method.prepare is None:
        return None
    return (yield from call.method.prepare(state.catalogue, new_uid, **params))


def decide(call: Call, step: Step, prepared: Any = None, fetched: Any = None) -> dict[str, Any]:
    """Run the rule of a writing method on a step; raises `QueueServerError`."""
    params = _unlocked_params(call, step.state, step.config)
    if call.method.fetch is not None:
        params["fetched"] = _usable(fetched)
    if call.method.prepare is not None:
        params["prepared"] = prepared
    return {"success": True, "msg": "", **call.method.function(step, **params)}


def decide_once(
    call: Call, step: Step, key: RequestKey, prepared: Callable[[], Any], fetched: Any = None, *, young: int = 0
) -> Verbatim | Repeated:
    """`decide` for a request with an id, unless it was done before; its reply is recorded in the same step.

    Parameters
    ----------
    prepared
        Gives what `prepare` found.
    young
        See `jupyter_queueserver.core.rules.requests.record`.
    """
    if request_rules.is_recorded(step.state, key):
        return Repeated(key.request_id)
    if not call.method.even_without_store:  # what must be done in any case is, be there room or not
        request_rules.require_room(step, young=young)
    reply = Verbatim.of_text(to_json(decide(call, step, prepared(), fetched)))
    request_rules.record(step, key, reply.text, young=young)
    return reply


def refuse(call: Call, err: QueueServerError, state: State) -> dict[str, Any]:
    """Make the refusing reply of a method; `state` is the present one."""
    method = call.method
    prefix = method.names_prefix if isinstance(err, UnsupportedParameters) or err.path == "lock_key" else method.prefix
    prefix = prefix if err.prefix is None else err.prefix
    reply: dict[str, Any] = {"success": False, "msg": f"{prefix}{err.msg}"}
    for name, key in method.reply.items():
        reply[name] = _failure_value(key.on_failure, call.params, state)
    reply |= {key: value for key, value in err.data.items() if key in method.reply}
    reply["error"] = err.to_wire()
    return reply


def _failure_value(value: Any, params: Any, state: State) -> Any:
    if isinstance(value, Present):
        return value.of(state)
    if not isinstance(value, Sent):
        return value
    sent = params.get(value.parameter) if isinstance(params, Mapping) else None
    return sent if isinstance(sent, HasJson) else echoed(sent)


def refuse_envelope(err: QueueServerError) -> dict[str, Any]:
    """Make the reply to a request that names no method: exactly the two keys of the interface."""
    return {"success": False, "msg": err.msg}
