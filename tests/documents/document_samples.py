"""Documents of a small run, as a RunEngine would make them."""

from __future__ import annotations

from typing import Any

Document = tuple[str, dict[str, Any]]


def run_documents(uid: str, events: int = 3, *, stop: bool = True, time: float = 1000.0) -> list[Document]:
    """The documents of a run with one stream and the columns ``x`` (number) and ``label`` (text)."""
    key = {"dtype": "number", "shape": [], "source": "test"}
    docs: list[Document] = [("start", {"uid": uid, "time": time, "scan_id": 1, "plan_name": "test"})]
    docs.append(
        (
            "descriptor",
            {
                "uid": f"{uid}-d",
                "run_start": uid,
                "name": "primary",
                "time": time,
                "data_keys": {"x": key, "label": {"dtype": "string", "shape": [], "source": "test"}},
                "configuration": {},
                "hints": {},
                "object_keys": {"x": ["x"], "label": ["label"]},
            },
        )
    )
    docs += [("event", event_document(uid, number)) for number in range(1, events + 1)]
    if stop:
        docs.append(("stop", stop_of(uid, events, time)))
    return docs


def event_document(uid: str, number: int, **data: Any) -> dict[str, Any]:
    """Event number *number* (from 1) of the run *uid*."""
    values = {"x": float(number), "label": f"p{number}", **data}
    return {
        "uid": f"{uid}-e{number}",
        "descriptor": f"{uid}-d",
        "seq_num": number,
        "time": 1000.0 + number,
        "data": values,
        "timestamps": dict.fromkeys(values, 1000.0 + number),
        "filled": {},
    }


def stop_of(uid: str, events: int, time: float = 1000.0) -> dict[str, Any]:
    """The stop document of a run that ended well."""
    return {
        "uid": f"{uid}-s",
        "run_start": uid,
        "time": time + 60,
        "exit_status": "success",
        "reason": "",
        "num_events": {"primary": events},
    }
