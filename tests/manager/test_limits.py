"""Requests that would hold everybody up are refused before they are parsed; what is left is served beside others.

The longest turn of the event loop measured with the worst bodies that are still read (2026, 2 shared cores): 0.26 s with JSON
(300,000 long keys with NaN, echoed), 0.38 s in a batch; without the limits 16 MiB of ``[],`` took seconds.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from manager_parts import open_state, rig

from jupyter_queueserver.api import Context
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.errors import TooLarge
from jupyter_queueserver.core.limits import DIGITS_LIMIT, MSGPACK_LIMIT, REQUEST_LIMIT, VALUES_LIMIT, Encoding, check_size
from jupyter_queueserver.manager.replies import Answerer, decode


def adding(value: bytes) -> bytes:
    """A request that adds a plan with that argument."""
    item = b'{"item_type":"plan","name":"count","kwargs":{"a":%s}}' % value
    return b'{"method":"queue_item_add","params":{"item":%s,"user":"a","user_group":"primary"}}' % item


LISTS = b"[" + b"[]," * (VALUES_LIMIT // 2 - 50) + b"1]"
KEYS = b"{" + b",".join(b'"%s%x":NaN' % (b"k" * 40, n) for n in range(VALUES_LIMIT - 50)) + b"}"
NUMBERS = b"[" + b",".join([b"9" * DIGITS_LIMIT] * (REQUEST_LIMIT // (DIGITS_LIMIT + 10))) + b"]"


@pytest.mark.parametrize(
    ("request_text", "encoding"),
    [
        (b" " * (REQUEST_LIMIT + 1), "json"),
        (b"[" + b"[]," * (VALUES_LIMIT // 2 + 1) + b"1]", "json"),
        (b"[" + b"1," * (VALUES_LIMIT + 1) + b"1]", "json"),
        (b"[" + b"[" * (REQUEST_LIMIT - 1), "json"),
        (adding(b"9" * REQUEST_LIMIT)[: REQUEST_LIMIT - 1], "json"),
        (b"\xdd\xff\xff\xff\xff" + b"\x90" * (MSGPACK_LIMIT - 5), "msgpack"),
        (codec.to_msgpack([1] * (VALUES_LIMIT + 2)), "msgpack"),
        (b"\xc0" * (MSGPACK_LIMIT + 1), "msgpack"),
    ],
    ids=["bytes", "lists", "numbers", "depth", "digits", "msgpack lists", "msgpack numbers", "msgpack bytes"],
)
def test_too_much_is_refused(request_text: bytes, encoding: Encoding) -> None:
    with pytest.raises(TooLarge):
        decode(request_text, encoding)


def test_ten_thousand_items_are_not_too_much() -> None:
    item = {
        "item_type": "plan",
        "name": "scan",
        "args": [["det1", "det2"], "motor", -1.5, 1.5, 11],
        "kwargs": {"md": {"a": [1, 2]}},
    }
    batch = {"method": "queue_item_add_batch", "params": {"items": [item] * 10_000, "user": "a", "user_group": "primary"}}
    check_size(codec.to_json(batch))
    packed = codec.to_msgpack(batch)
    assert decode(packed, "msgpack") == batch
    check_size(adding(b"9" * 4000))  # a long number is nothing in a small request


@pytest.mark.parametrize("value", [LISTS, KEYS, NUMBERS], ids=["lists", "keys", "digits"])
def test_the_worst_that_is_read_delays_others_little(value: bytes) -> None:
    """Others are served all the while; the watchdog waits 5 s."""
    turns: list[float] = []

    async def main() -> None:
        async with rig(open_state()) as made:
            answerer = Answerer(made.writer, lambda: Context(epoch="e", version="0", local_time=str))
            big = asyncio.create_task(answerer.answer(adding(value)))
            while not big.done():
                began = time.process_time()
                await answerer.answer(b'{"method": "status"}')
                await asyncio.sleep(0)
                turns.append(time.process_time() - began)
            assert codec.from_json(await big)["success"] is False

    asyncio.run(main())
    assert max(turns) < 2.5  # seconds of work, not of waiting for a busy machine
