"""A run as a table straight from the journal: works in the core installation, without Tiled and without pandas.

Internal data only: external files (resources, stream resources) are not opened here.
"""

from __future__ import annotations

import os
from typing import Any

from jupyter_queueserver.documents.run_search import run_documents
from jupyter_queueserver.instance import find_instance

__all__ = ["RunNotFound", "RunTable", "run_table"]


class RunNotFound(LookupError):
    """No run of this uid is in the journal (never was, or was trimmed after delivery)."""


class RunTable(list[dict[str, Any]]):
    """Rows of one stream: ``seq_num``, ``time`` (seconds since the epoch), then one column per data key.

    Attributes
    ----------
    start, stop : dict
        The documents; *stop* is None while the run is open.
    stream : str
        Name of the stream.
    columns : list of str
        Column names in order.
    """

    def __init__(self, stream: str, start: dict[str, Any]) -> None:
        super().__init__()
        self.stream = stream
        self.start = start
        self.stop: dict[str, Any] | None = None
        self.columns: list[str] = ["seq_num", "time"]

    def to_pandas(self) -> Any:
        """The same as ``pandas.DataFrame``, indexed by ``seq_num``. Raises ``ModuleNotFoundError`` without pandas."""
        import pandas

        return pandas.DataFrame(list(self), columns=self.columns).set_index("seq_num")


def run_table(data_dir: str | os.PathLike[str] | None, run_uid: str, stream: str = "primary") -> RunTable:
    """Read a run from the journal.

    Parameters
    ----------
    data_dir
        Data directory of the instance; None: found as everywhere.
    run_uid
        uid of the run's start document.
    stream
        Name of the stream whose events are the rows.

    Raises
    ------
    RunNotFound
        The run is not in the journal.
    """
    documents = run_documents(find_instance(data_dir).journal, run_uid)
    first = next(documents, None)
    if first is None:
        raise RunNotFound(f"run {run_uid} is not in the journal (it may be in Databroker)")
    table = RunTable(stream, first[1])
    descriptors: set[str] = set()
    rows: dict[int, dict[str, Any]] = {}
    for name, doc in documents:
        if name == "descriptor" and doc.get("name") == stream:
            descriptors.add(doc["uid"])
            table.columns += [key for key in doc.get("data_keys", {}) if key not in table.columns]
        elif name == "event" and doc["descriptor"] in descriptors:
            rows[doc["seq_num"]] = {"seq_num": doc["seq_num"], "time": doc["time"], **doc["data"]}
        elif name == "event_page" and doc["descriptor"] in descriptors:
            rows.update(_page_rows(doc))
        elif name == "stop":
            table.stop = doc
    table.extend(rows[number] for number in sorted(rows))
    return table


def _page_rows(page: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {
        seq_num: {
            "seq_num": seq_num,
            "time": page["time"][at],
            **{key: col[at] for key, col in page["data"].items()},
        }
        for at, seq_num in enumerate(page["seq_num"])
    }
