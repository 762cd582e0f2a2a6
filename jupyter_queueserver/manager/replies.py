"""From a request's bytes to a reply's bytes: decoding, dispatch, encoding.  Knows no sockets."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Awaitable, Callable, Mapping, Sized
from typing import Any

from ..api import Call, Context, parse_request, read_call, refuse
from ..api.dispatch import may_fetch, refuse_envelope
from ..api.first_version import COMMANDS, modern_request
from ..core import codec
from ..core.codec import Verbatim
from ..core.errors import MalformedRequest, QueueServerError, UnknownMethod
from ..core.limits import VALUES_LIMIT, Encoding, check_size
from ..core.requests import RequestKey
from ..core.state import State
from ..core.status import status
from .requests import UnderWay
from .writer import Outcome, Writer

_log = logging.getLogger(__name__)

#: Bytes from which a request is decoded in a thread.
_BIG = 256 * 1024
#: Items from which a reply is encoded in a thread.
_MANY = 1000
#: Seconds that an answer may wait for the worker.
_WORKER_PATIENCE = 1.5
_SILENT = "The worker has not answered yet; the status says what comes of it."


def local_time(seconds: float) -> str:
    """ISO 8601 local time without zone."""
    return datetime.datetime.fromtimestamp(seconds).isoformat()  # noqa: DTZ006 - the interface wants local time


def people_time(seconds: float) -> str:
    """Local time as the interface shows it to people: ``MM/DD/YYYY HH:MM:SS``."""
    return datetime.datetime.fromtimestamp(seconds).strftime("%m/%d/%Y %H:%M:%S")  # noqa: DTZ006 - as above


#: Gets what a method wants from outside, given the parameters.
Fetcher = Callable[[Mapping[str, Any]], Awaitable[Any]]


class _Refused(Exception):
    """A request that is answered without being decided."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(reply["msg"])
        self.reply = reply


class Answerer:
    """Answers requests: reading ones from the committed state, writing ones through the writer.

    Parameters
    ----------
    context
        Gives what reading methods may know, at each call.
    fetchers
        Get what methods want from outside (`Method.fetch`), given their parameters; an error is raised, or returned for a method
        to raise.
    worker_looked_for
        Ends when it is known whether there is a worker, or when that takes too long: what is meant for it is decided then.
    """

    def __init__(
        self,
        writer: Writer,
        context: Callable[[], Context],
        fetchers: Mapping[str, Fetcher] | None = None,
        worker_looked_for: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._writer = writer
        self._worker_looked_for = worker_looked_for
        self._context = context
        self._fetchers = fetchers or {}
        self._under_way = UnderWay()
        self._cached_status: tuple[object, bytes] = (None, b"")

    async def answer(self, request: bytes, encoding: Encoding = "json", *, first_version: bool = False) -> bytes:
        """Answer one request; never raises.

        Parameters
        ----------
        first_version
            Whether the commands of the first version of the interface are understood, as they were meant then.
        """
        try:
            big = len(request) > _BIG
            decoded = await asyncio.to_thread(decode, request, encoding) if big else decode(request, encoding)
            call = parse_request(self._modern(decoded) if first_version else decoded)
        except _Refused as refused:
            return encode(refused.reply, encoding)
        except QueueServerError as err:
            reply = refuse_envelope(err)
            if not isinstance(err, MalformedRequest | UnknownMethod):  # which have two keys only
                reply["error"] = err.to_wire()
            return encode(reply, encoding)
        return await self._answer_call(call, encoding, is_big=big)

    def _modern(self, request: Any) -> Any:
        """Translate a request of the first version; a refusal has the form of the method that it means."""
        try:
            return modern_request(request)
        except QueueServerError as err:
            method = COMMANDS[request["method"]].modern
            raise _Refused(refuse(Call(method, request.get("params") or {}), err, self._writer.state)) from err

    async def _answer_call(self, call: Call, encoding: Encoding, *, is_big: bool = False) -> bytes:
        if call.method.lenient and encoding == "json":
            return self.status_text()
        try:
            key = await asyncio.to_thread(call.key) if is_big else call.key()
            reply = await (self._reply(call) if key is None else self._reply_once(call, key))
        except QueueServerError as err:
            reply = refuse(call, err, self._writer.state)
        except Exception as err:  # noqa: BLE001 - boundary of one request
            _log.exception("Request %s failed by a fault of the server.", call.method.name)
            reply = refuse(call, QueueServerError(f"Error: {err!r}", code="internal_error"), self._writer.state)
        return await asyncio.to_thread(encode, reply, encoding) if _is_long(reply) else encode(reply, encoding)

    async def _reply(self, call: Call) -> dict[str, Any]:
        fetched = await self._fetched(call)
        if call.method.kind == "read":
            return read_call(call, self._writer.state, self._context(), fetched)
        outcome = await self._decided(call, fetched)
        if not call.method.waits:
            return outcome.result
        return _with_word(outcome.result, await _worker_answers(outcome.effects))

    async def _decided(self, call: Call, fetched: Any, key: RequestKey | None = None) -> Outcome:
        if call.method.waits and self._worker_looked_for is not None:
            await self._worker_looked_for()
        return await self._writer.call(call, fetched, key)

    async def _reply_once(self, call: Call, key: RequestKey) -> Verbatim:
        """Reply to a writing request with an id: it is done once, however often it comes."""
        return await self._under_way.once(key, lambda: self._first_reply(call, key))

    async def _first_reply(self, call: Call, key: RequestKey) -> Verbatim:
        before = await self._writer.answered(key)
        if before is not None:
            return before
        outcome = await self._decided(call, await self._fetched(call), key)
        if not call.method.waits:
            return outcome.result
        try:
            said = await _worker_answers(outcome.effects)
        except QueueServerError:
            try:
                await self._writer.forget(key)
            except QueueServerError as err:  # who asked is told what the worker said; a repetition gets the record's reply
                _log.warning("The record of a request that the worker refused stays: %s", err.msg)
            raise
        if not said:
            return outcome.result
        return Verbatim(_with_word(codec.from_json(codec.to_json(outcome.result)), said))

    async def _fetched(self, call: Call) -> Any:
        """Get what the method wants from outside, unless it would be refused anyway."""
        if call.method.fetch is None:
            return None
        params = may_fetch(call, self._writer.state, self._writer.config)
        fetcher = self._fetchers.get(call.method.fetch)
        return None if fetcher is None else await fetcher(params)

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
        confirm_returned=context.config.confirm_returned,
    )


def _with_word(reply: dict[str, Any], said: str | None) -> dict[str, Any]:
    """Return a reply with what the worker has to say, if the reply itself says nothing."""
    return reply | {"msg": said} if said and not reply.get("msg") else reply


async def _worker_answers(effects: tuple[asyncio.Task[str | None], ...]) -> str | None:
    """Wait for the worker's word; a refusal is raised, silence is told: the state says what comes of it."""
    if not effects:
        return None
    done, silent = await asyncio.wait(effects, timeout=_WORKER_PATIENCE)
    for task in done:
        err = task.exception()
        if isinstance(err, QueueServerError):
            raise err
    said = (task.result() for task in done if task.exception() is None)
    return next(filter(None, said), _SILENT if silent else None)


def decode(request: bytes, encoding: Encoding) -> Any:
    """Decode a request; raises `MalformedRequest` in the words of the interface, or `TooLarge`."""
    check_size(request, encoding)
    try:
        decoded = codec.from_json(request) if encoding == "json" else codec.from_msgpack(request)
        if encoding == "msgpack" and len(request) > VALUES_LIMIT:
            check_size(codec.to_json(decoded))
    except (ValueError, RecursionError, TypeError) as err:
        text = "a number has more digits than are read" if "int_max_str_digits" in str(err) else str(err)
        raise MalformedRequest(f"Failed to decode the request: {text}") from err
    if isinstance(decoded, str):
        raise MalformedRequest(f"Failed to decode the request: {decoded!r} is text, not an object")
    return decoded


def _is_long(reply: dict[str, Any] | Verbatim) -> bool:
    """Whether it takes long to encode a reply."""
    if isinstance(reply, Verbatim):
        return len(reply.text) > _BIG
    items = reply.get("items")
    if isinstance(items, Verbatim):
        return len(items.text) > _BIG
    return isinstance(items, Sized) and len(items) > _MANY


def encode(reply: dict[str, Any] | Verbatim, encoding: Encoding) -> bytes:
    """Encode a reply."""
    if isinstance(reply, Verbatim) and encoding == "json":
        return reply.text
    return codec.to_json(reply) if encoding == "json" else codec.to_msgpack(reply)
