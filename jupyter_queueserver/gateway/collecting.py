"""Handlers that read the whole body of a request themselves, and the JSON object in it.

They refuse a body that is too large without keeping it.  What the keys of the object mean is not known here.
"""

from __future__ import annotations

import json
from typing import Any

from ..core.limits import CONNECTION_LIMIT, REQUEST_LIMIT
from .bodies import require_json
from .handler import QueueServerHandler
from .refusals import malformed_body, not_finite, too_large
from .strict import place_of_non_finite


class CollectingHandler(QueueServerHandler):
    """A route with a body, of at most `REQUEST_LIMIT` bytes."""

    _chunks: list[bytes]
    _received = 0

    async def prepare(self) -> None:
        """Authenticate, then look at the announced length of the body."""
        self._chunks = []
        await super().prepare()
        announced = self.request.headers.get("Content-Length", "0")
        if announced.isdigit() and int(announced) > REQUEST_LIMIT:
            if int(announced) > CONNECTION_LIMIT:
                self.set_header("Connection", "close")
            raise too_large(REQUEST_LIMIT)

    def data_received(self, chunk: bytes) -> None:
        """Collect the body; of one that turns out to be too large nothing is kept."""
        self._received += len(chunk)
        if self._received > REQUEST_LIMIT:
            self._chunks.clear()
        else:
            self._chunks.append(chunk)

    def body(self) -> bytes:
        """Return the body; raises `Refusal` (413)."""
        if self._received > REQUEST_LIMIT:
            raise too_large(REQUEST_LIMIT)
        return b"".join(self._chunks)

    def json_object(self) -> dict[str, Any] | None:
        """Return the object in the body, None if there is no body; raises `Refusal` (413 or 422)."""
        body = self.body()
        if not body.strip():
            return None
        require_json(self.request.headers.get("Content-Type"))
        if (place := place_of_non_finite(body)) is not None:
            raise not_finite(place)
        try:
            decoded = json.loads(body)
        except (ValueError, RecursionError) as err:
            raise malformed_body("json_invalid", ["body", getattr(err, "pos", 0)], f"JSON decode error: {err}") from err
        if not isinstance(decoded, dict):
            raise malformed_body("dict_type", ["body"], "Input should be a valid dictionary")
        return decoded
