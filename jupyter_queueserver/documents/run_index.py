"""Which run a document belongs to, for documents that do not say so themselves.

Bookkeeping only; it forgets a run when it is told to.
"""

from __future__ import annotations

from typing import Any

__all__ = ["RunIndex"]


class RunIndex:
    """Learns from start, descriptor, resource and stream_resource documents; feed it every document in order."""

    def __init__(self) -> None:
        self._runs: dict[str, str] = {}

    def run_of(self, name: str, doc: dict[str, Any]) -> str | None:
        """uid of the run (its start document's) of a document; None if it is not known."""
        if name == "start":
            run = str(doc.get("uid", ""))
        elif "run_start" in doc:
            run = str(doc["run_start"])
        else:
            reference = doc.get("descriptor") or doc.get("resource") or doc.get("stream_resource")
            return self._runs.get(str(reference))
        if name in ("descriptor", "resource", "stream_resource"):
            self._runs[str(doc.get("uid", ""))] = run
        return run

    def drop(self, run: str) -> None:
        """Forget a run that has ended."""
        self._runs = {uid: known for uid, known in self._runs.items() if known != run}
