"""Forbid a second try of a write whose fate is not known, so that no row is ever written twice.

The Tiled writer repeats an append that failed although the server may have done it. The relay has a better way (it
removes the half-written run and writes it again), so the repetition is stopped here, by httpx's event hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

__all__ = ["WriteFailed", "WriteGuard"]


class WriteFailed(Exception):
    """An earlier write failed. *status* is its HTTP status; None if there was no answer."""

    def __init__(self, status: int | None) -> None:
        super().__init__(f"a write to Tiled failed ({f'HTTP {status}' if status else 'no answer'})")
        self.status = status


class WriteGuard:
    """Watches one ``httpx.Client``; after a write without answer or with a server error every further one is refused."""

    def __init__(self, client: httpx.Client) -> None:
        self._unanswered = False
        self._failed: int | None = None
        hooks = client.event_hooks
        client.event_hooks = {
            "request": [*hooks.get("request", []), self._on_request],
            "response": [*hooks.get("response", []), self._on_response],
        }

    def _on_request(self, request: httpx.Request) -> None:
        if request.method == "GET":
            return
        if self._unanswered or self._failed is not None:
            raise WriteFailed(self._failed)
        self._unanswered = True

    def _on_response(self, response: httpx.Response) -> None:
        if response.request.method == "GET":
            return
        self._unanswered = False
        if response.status_code >= 500:
            self._failed = response.status_code
