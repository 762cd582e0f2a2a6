"""The rows of the table, each a module with ``measure(bench) -> list of figures``, in the order of measurement.

Rows that other work on the machine disturbs least come last.
"""

from __future__ import annotations

from collections.abc import Callable

from ..bench import Bench
from ..figures import Figure
from . import adding, batch, history, http, idle, lists, load, opening, pausing, plans, starting, status

ROWS: dict[str, Callable[[Bench], list[Figure]]] = {
    "plans": plans.measure,
    "adding": adding.measure,
    "batch": batch.measure,
    "status": status.measure,
    "lists": lists.measure,
    "history": history.measure,
    "load": load.measure,
    "pausing": pausing.measure,
    "opening": opening.measure,
    "starting": starting.measure,
    "idle": idle.measure,
    "http": http.measure,
}
