"""From a request's bytes to a reply's bytes: decoding, dispatch, encoding.  Knows no sockets."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable
from typing import Any

from ..api import Call, Context, parse_request, read_call, refuse
from ..api.dispatch import refuse_envelope
from ..core import codec
from ..core.errors import MalformedRequest, QueueServerError, TooLarge
from ..core.limits import VALUES_LIMIT, Encoding, check_size
from ..core.state import State
from ..core.status import status
from .writer import Writer

_log = logging.getLogger(__name__)

#: Bytes from which a request is decoded in a thread.
_BIG = 256 * 1024
#: Seconds that an answer may wait for the worker.
_WORKER_PATIENCE = 1.5


def local_time(seconds: float) -> str:
    """ISO 8601 local time without zone."""
    return datetime.datetime.fromtimestamp(seconds).isoformat()  # noqa: DTZ006 - the interface wants local time


class Answerer:
    """Answers requests: reading ones from the committed state, writing ones through the writer.

    Parameters
    ----------
    context
        Gives what reading methods may know, at each call.
    """

    def __init__(self, writer: Writer, context: Callable[[], Context]) -> None:
        self._writer = writer
        self._context = context
        self._cached_status: tuple[object, bytes] = (None, b"")

    async def answer(self, request: bytes, encoding: Encoding = "json") -> bytes:
        """Answer one request; never raises."""
        try:
            big = len(request) > _BIG
            call = parse_request(await asyncio.to_thread(decode, request, encoding) if big else decode(request, encoding))
        except QueueServerError as err:
            reply = refuse_envelope(err)
            if isinstance(err, TooLarge):
                reply["error"] = err.to_wire()
            return encode(reply, encoding)
        return await self._answer_call(call, encoding)

    async def _answer_call(self, call: Call, encoding: Encoding) -> bytes:
        if call.method.lenient and encoding == "json":
            return self.status_text()
        try:
            reply = await self._reply(call)
        except QueueServerError as err:
            reply = refuse(call, err)
        except Exception as err:  # noqa: BLE001 - boundary of one request
            _log.exception("Request %s failed by a fault of the server.", call.method.name)
            reply = refuse(call, QueueServerError(f"Error: {err!r}", code="internal_error"))
        return encode(reply, encoding)

    async def _reply(self, call: Call) -> dict[str, Any]:
        if call.method.kind == "read":
            return read_call(call, self._writer.state, self._context())
        outcome = await self._writer.call(call)
        if call.method.waits:
            await _worker_answers(outcome.effects)
        return outcome.result

    def status(self) -> dict[str, Any]:
        """Return the status dictionary of this moment."""
        return status_of(self._writer.state, self._context())

    def status_text(self) -> bytes:
        """Return the status as JSON text, made once for each state (and each state of the store)."""
        now = (self._writer.state.seq, self._writer.store_failure)
        if self._cached_status[0] != now:
            self._cached_status = (now, codec.to_json(self.status()))
        return self._cached_status[1]


def status_of(state: State, context: Context) -> dict[str, Any]:
    """Return the status dictionary of a state."""
    return status(
        state,
        epoch=context.epoch,
        time_text=context.local_time(state.time),
        version=context.version,
        kernel=context.kernel,
        store_failure=context.store_failure,
    )


async def _worker_answers(effects: tuple[asyncio.Task[None], ...]) -> None:
    """Wait for the worker's word; a refusal is raised, silence is none: the state says what comes of it."""
    if not effects:
        return
    done, _ = await asyncio.wait(effects, timeout=_WORKER_PATIENCE)
    for task in done:
        err = task.exception()
        if isinstance(err, QueueServerError):
            raise err


def decode(request: bytes, encoding: Encoding) -> Any:
    """Decode a request; raises `MalformedRequest` in the words of the interface, or `TooLarge`."""
    check_size(request, encoding)
    try:
        decoded = codec.from_json(request) if encoding == "json" else codec.from_msgpack(request)
        if encoding == "msgpack" and len(request) > VALUES_LIMIT:
            check_size(codec.to_json(decoded))
    except (ValueError, RecursionError, TypeError) as err:
        raise MalformedRequest(f"Failed to decode the request: {err}") from err
    if isinstance(decoded, str):
        raise MalformedRequest(f"Failed to decode the request: {decoded!r} is text, not an object")
    return decoded


def encode(reply: dict[str, Any], encoding: Encoding) -> bytes:
    """Encode a reply."""
    return codec.to_json(reply) if encoding == "json" else codec.to_msgpack(reply)
