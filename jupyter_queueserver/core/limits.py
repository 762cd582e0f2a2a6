"""How big a request may be, the same for every way in; and the look at a request that is too much before it is parsed.

Parsing holds everybody up (no thread helps: the decoders keep Python's lock), and what it costs depends on the number of values
more than on the bytes.  So both are limited, by counts that cost next to nothing.
"""

from __future__ import annotations

from typing import Literal

from .errors import TooLarge

Encoding = Literal["json", "msgpack"]

#: Bytes of the largest JSON request that is read; a batch of ten thousand items has about 2.5 MB.
REQUEST_LIMIT = 16 * 1024 * 1024
#: Bytes of the largest msgpack request: there, one byte may be a value.
MSGPACK_LIMIT = 4 * 1024 * 1024
#: Values of the largest request, containers and their elements: ten thousand items with thirty each.
VALUES_LIMIT = 300_000
#: Bytes of the entries of the history (JSON text) that one reply holds at most.
HISTORY_REPLY_LIMIT = 256 * 1024 * 1024
#: Digits of the longest number: making text of it takes time with the square of that.
DIGITS_LIMIT = 600
#: Bytes of the largest return value of a task, as JSON text.
TASK_RESULT_LIMIT = 4 * 1024 * 1024
#: Bytes of all results of tasks that are kept; beyond that the oldest are given up before their time.
TASK_RESULTS_LIMIT = 32 * 1024 * 1024
#: Requests with an id that are remembered, and bytes of their replies as the store keeps them: see `rules.requests`.
REQUEST_IDS_LIMIT = 100_000
REQUEST_REPLIES_LIMIT = 128 * 1024 * 1024
#: Bytes beyond which a connection is closed without an answer.
CONNECTION_LIMIT = 256 * 1024 * 1024

_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)
#: First bytes of arrays and maps in msgpack.
_MSGPACK_CONTAINERS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])


def check_size(request: bytes, encoding: Encoding = "json") -> None:
    """Raise `TooLarge` for a request with too many bytes or values; nothing is parsed.

    In msgpack the values that are no containers cannot be told from text: check the JSON text of what was decoded, too.
    """
    limit = REQUEST_LIMIT if encoding == "json" else MSGPACK_LIMIT
    if len(request) > limit:
        raise TooLarge(f"The request has {len(request)} bytes; at most {limit} are read.")
    if len(request) > VALUES_LIMIT and (count := _values(request, encoding)) > VALUES_LIMIT:
        raise TooLarge(f"The request has up to {count} values; at most {VALUES_LIMIT} are read.")
    if len(request) > VALUES_LIMIT and encoding == "json" and b"0" * (DIGITS_LIMIT + 1) in request.translate(_DIGITS):
        raise TooLarge(
            f"The request has a number of more than {DIGITS_LIMIT} digits; in a request of that size none is read.",
            hint="Send such a number in a small request.",
        )


def _values(request: bytes, encoding: Encoding) -> int:
    """Count values, those at most that could be some: marks within texts are counted too."""
    if encoding == "json":
        return sum(map(request.count, (b"[", b"{", b",")))
    return len(request) - len(request.translate(None, _MSGPACK_CONTAINERS))
