"""What is known of the ending of a plan, beside its name: where it failed, the last document, a sentence for people.

Pure.  The keys that it adds to ``result`` are there only if something is known; what the interface says of ``result`` stays
as it is.  The mark of an item that came back to the queue is made here, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

#: Key of an item that came back to the front of the queue; its value is made by `returned_mark`.
RETURNED = "returned"
Ending = Literal["completed", "stopped", "aborted", "halted", "failed", "interrupted", "refused", "lost"]

#: Most characters of an error's text in a sentence.
_SHOWN = 300
_WISHED = {
    "stopped": "The plan was stopped before its end, because somebody wished so",
    "aborted": "The plan was aborted",
    "halted": "The plan was halted, without its own cleanup: look after the devices before the next plan",
}
_PREFIXES = ("Plan failed: ", "Error occurred while processing plan parameters or starting the plan: ")


class FailurePoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a plan failed, as far as it is known.

    Attributes
    ----------
    device
        Name of the device whose action failed; None: it was none, or it is not known which.
    command
        What the RunEngine was told to do with it, e.g. ``set``, ``trigger``, ``wait``.
    run_uid
        Run that was open then.
    events
        How many events each stream of that run had got: the failure came after these.
    file, line, function
        Innermost place of the users' own code; the line counts from 1.
    """

    device: str | None = None
    command: str | None = None
    run_uid: str | None = None
    events: dict[str, int] = {}
    file: str | None = None
    line: int | None = None
    function: str | None = None


class LastDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The last document that a worker has written into its journal.

    Attributes
    ----------
    name
        ``start``, ``descriptor``, ``event`` ...
    run_uid
        Its run; None if that cannot be told.
    seq_num
        Number of the event in its stream, from 1; None: it is no event.
    time
        When it was made, seconds since the epoch; None if it does not say so.
    """

    name: str
    run_uid: str | None = None
    seq_num: int | None = None
    time: float | None = None


class OpenRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run in the journal that has no stop document; ``time`` is that of its start, seconds since the epoch."""

    uid: str
    scan_id: int | None
    time: float


def failure_details(point: FailurePoint | None) -> dict[str, Any]:
    """Further keys of ``result`` of a plan that failed."""
    fields = {} if point is None else msgspec.to_builtins(point)
    return {"failure": fields} if fields else {}


def last_document_details(last: LastDocument | None) -> dict[str, Any]:
    """Further keys of ``result`` of a plan whose worker died."""
    return {} if last is None else {"last_document": msgspec.to_builtins(last)}


def problem_details(problems: tuple[str, ...]) -> dict[str, Any]:
    """Further keys of ``result`` of a plan whose parameters the worker refused: all that is wrong with them."""
    return {"problems": list(problems)} if problems else {}


def summary(result: Mapping[str, Any]) -> str:
    """Say in one sentence how it ended, for who looks at the queue in the morning; empty for a plan that was completed."""
    ending = result["ending"]
    reason = _shortened(result.get("msg", ""))
    if ending == "completed":
        return ""
    if ending == "failed":
        return _sentence(f"The plan failed{_place(result.get('failure', {}))}", reason)
    if ending == "interrupted":
        return _interrupted(result, reason)
    if ending == "refused":
        return _sentence("The worker refused the plan before it had begun", _refusal(result, reason))
    if ending == "lost":
        return _sentence("Nobody can tell how the plan ended", reason)
    return _sentence(_WISHED[ending], reason)


def returned_mark(result: Mapping[str, Any], item_uid: str) -> dict[str, Any]:
    """Return the mark of an item that comes back to the front of the queue: why, and which history entry tells more.

    Parameters
    ----------
    result
        How its run ended.
    item_uid
        Uid under which it ran, and under which the history has it.
    """
    return {
        "ending": result["ending"],
        "reason": result["summary"],
        "time": result["time_stop"],
        "run_uids": result["run_uids"],
        "item_uid": item_uid,
        "confirmed": False,
    }


def is_unconfirmed(mark: Any) -> bool:
    """Whether a mark says that nobody has confirmed that the item may run again."""
    return isinstance(mark, dict) and mark.get("confirmed") is not True


def _place(failure: Mapping[str, Any]) -> str:
    device, command = failure.get("device"), failure.get("command")
    parts = [f" at the device '{device}'" if device else "", f" (in '{command}')" if device and command else ""]
    events = {stream: count for stream, count in failure.get("events", {}).items() if count}
    if events:
        stream = "primary" if "primary" in events else max(events, key=lambda name: events[name])
        parts.append(f" after {_points(events[stream])}" + ("" if stream == "primary" else f" of the stream '{stream}'"))
    return "".join(parts)


def _points(count: int) -> str:
    return f"{count} point{'' if count == 1 else 's'}"


def _interrupted(result: Mapping[str, Any], reason: str) -> str:
    if result.get("begun") is False:
        return _sentence("The plan had not begun", reason)
    last = result.get("last_document", {})
    text = _sentence("The plan was cut off", reason)
    if last.get("seq_num"):
        text += f" The last point that was kept is number {last['seq_num']}."
    elif not result["run_uids"]:
        text += " No run had been opened."
    return text


def _refusal(result: Mapping[str, Any], reason: str) -> str:
    problems = result.get("problems", ())
    return _shortened("; ".join(problems)) if problems else reason


def _shortened(text: str) -> str:
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def _sentence(begin: str, reason: str) -> str:
    text = f"{begin}: {reason}" if reason else begin
    return text if text.endswith((".", "!", "?")) else f"{text}."
