"""What people see of a reply: tables of the queue, the history, runs, plans, devices; else keys and values.

The kind of a reply is known by its keys, so that every method that answers with a queue is shown as one.  Prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml
from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

#: Longest tables that are shown; `--format text` and `--json` print everything.
_LONGEST = 200
_LONGEST_CELL = 200
#: Most items of the queue of which it is said why they came back.
_REASONS = 5
#: Columns that are not folded as long as there is room.
_WHOLE = ("#", "item", "ending", "started", "took", "runs", "user", "uid", "state", "exit status", "can be")
#: Keys of every reply, and the change marks that only programs read.
_ENVELOPE = ("success", "msg", "error")
_MARK = "_uid"
_TOLD_UIDS = ("running_item_uid", "task_uid", "item_uid")

#: Keys of the status that are filled only when something is wrong.
_ALARMS = ("_failure", "_alarm", "_unreachable", "_outdated")

_GOOD, _BUSY, _ODD, _BAD = "green", "cyan", "yellow", "red"
_STYLES = {
    **dict.fromkeys(("idle", "completed", "success", "open"), _GOOD),
    **dict.fromkeys(("executing_queue", "executing_task", "executing_plan", "running", "starting_queue"), _BUSY),
    **dict.fromkeys(("paused", "stopped", "aborted", "halted", "pausing", "closed", "not_found"), _ODD),
    **dict.fromkeys(("failed", "interrupted", "unknown", "panicked"), _BAD),
}

_Parts = Iterator[RenderableType]


def view(reply: Mapping[str, Any]) -> Iterable[RenderableType]:
    """Return what is to be shown of a successful reply, from top to bottom."""
    for key, make in _VIEWS:
        if key in reply:
            return make(reply)
    return _fields(reply)


def status_line(reply: Mapping[str, Any]) -> Text:
    """Return the status in one line."""
    line = Text.assemble("manager ", _state(reply.get("manager_state")))
    for title, key in (("environment", "worker_environment_state"), ("RunEngine", "re_state")):
        line.append(f"  {title} ").append_text(_state(reply.get(key)))
    line.append(f"  queue {_plain(reply.get('items_in_queue'))}  history {_plain(reply.get('items_in_history'))}")
    if uid := reply.get("running_item_uid"):
        line.append(f"  running {printable(str(uid))}")
    return line


def printable(text: str) -> str:
    """Return the text without control characters, which a terminal would obey."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def _plain(value: Any) -> str:
    """Return a value as text for one cell."""
    if value is None or value in ("", {}, []):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict | list):
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None)
        return printable(text.rstrip("\n"))
    return printable(str(value))


def _state(value: Any) -> Text:
    text = _plain(value)
    return Text(text, style=_STYLES.get(text, ""))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}..."


def _table(*titles: str, caption: str = "") -> Table:
    # No vertical lines: a uid that is marked with the mouse is the uid and nothing else.
    made = Table(caption=caption or None, caption_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    made.padding = (0, 1, 0, 0)
    for title in titles:
        made.add_column(title, overflow="fold", no_wrap=title in _WHOLE)
    return made


def _pairs(values: Mapping[str, Any]) -> Table:
    made = Table.grid("key", "value", padding=(0, 2))
    made.columns[0].style = "bold"
    made.columns[0].no_wrap = True
    made.columns[1].overflow = "fold"
    for key, value in values.items():
        made.add_row(printable(str(key)), _state(value) if isinstance(value, str) else _plain(value))
    return made


def _fields(reply: Mapping[str, Any]) -> _Parts:
    """Everything that is no envelope and no mark, as it is called."""
    told = {key: value for key, value in reply.items() if key not in _ENVELOPE and _is_told(key)}
    if told:
        yield _pairs(told)
    if message := reply.get("msg"):
        yield Text(printable(str(message)), style="" if told else _GOOD)
    elif not told:
        yield Text("Done.", style=_GOOD)


def _is_told(key: str) -> bool:
    return not key.endswith(_MARK) or key in _TOLD_UIDS


def _status(reply: Mapping[str, Any]) -> _Parts:
    shown = {key: value for key, value in reply.items() if _is_told(key)}
    alarms = {key: shown.pop(key) for key in list(shown) if key.endswith(_ALARMS)}
    yield _pairs(shown)
    for key, value in alarms.items():
        if value:
            yield Text.assemble((f"{key}: ", "bold red"), _plain(value))


def call_text(item: Mapping[str, Any]) -> str:
    """Return the arguments of an item as one writes them in Python."""
    args, kwargs = item.get("args"), item.get("kwargs")
    words = [repr(each) for each in args] if isinstance(args, list) else []
    words += [f"{key}={value!r}" for key, value in kwargs.items()] if isinstance(kwargs, dict) else []
    return _short(printable(", ".join(words)))


def _item_cells(item: Mapping[str, Any]) -> list[str | Text]:
    kind = item.get("item_type")
    name = Text(_plain(item.get("name")), style="" if kind == "plan" else _ODD)
    return [name, call_text(item), _plain(item.get("user")), _plain(item.get("item_uid"))]


def _queue(reply: Mapping[str, Any]) -> _Parts:
    items, running = reply["items"], reply["running_item"]
    if not items and not running:
        yield Text("The queue is empty.")
        return
    made = _table("#", "item", "arguments", "user", "uid", caption=_count(items, "queue", "first"))
    if running:
        made.add_row(Text("runs", style=_BUSY), *_item_cells(running))
    for number, item in enumerate(items[:_LONGEST]):
        made.add_row(str(number), *_item_cells(item))
    yield made
    returned = [item for item in items[:_LONGEST] if isinstance(item.get("returned"), dict)]
    for item in returned[:_REASONS]:
        mark = item["returned"]
        head = "Came back, confirmed: " if mark.get("confirmed") is True else "Came back: "
        yield Text.assemble((head, "bold"), printable(f"{item.get('name')}, {item.get('item_uid')}. {mark.get('reason')}"))


def _count(items: Sequence[Any], where: str, shown: str) -> str:
    text = f"{len(items)} {'item' if len(items) == 1 else 'items'} in the {where}"
    return text if len(items) <= _LONGEST else f"{text}, the {shown} {_LONGEST} are shown (all: --format text)"


def _history(reply: Mapping[str, Any]) -> _Parts:
    items = reply["items"]
    if not items:
        yield Text("The history is empty.")
        return
    made = _table("#", "item", "arguments", "ending", "started", "took", "runs", "uid", caption=_count(items, "history", "last"))
    first = max(0, len(items) - _LONGEST)
    for number, item in enumerate(items[first:], first):
        result = item.get("result") or {}
        name, arguments, _, uid = _item_cells(item)
        ending = _state(result.get("ending") or result.get("exit_status"))
        runs = ", ".join(f"#{each}" for each in result.get("scan_ids") or ()) or str(len(result.get("run_uids") or ()))
        made.add_row(str(number), name, arguments, ending, *_times(result), runs, uid)
    yield made
    last = items[-1].get("result") or {}
    if message := last.get("summary") or last.get("msg"):
        yield Text.assemble(("Last: ", "bold"), printable(str(message)))


def _times(result: Mapping[str, Any]) -> tuple[str, str]:
    begin, end = result.get("time_start"), result.get("time_stop")
    if not isinstance(begin, int | float):
        return "-", "-"
    then = time.localtime(begin)
    is_today = then[:3] == time.localtime()[:3]
    started = time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M", then)
    return started, _duration(end - begin) if isinstance(end, int | float) else "-"


def _duration(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _runs(reply: Mapping[str, Any]) -> _Parts:
    if not reply["run_list"]:
        yield Text("No runs.")
        return
    made = _table("uid", "state", "exit status")
    for run in reply["run_list"]:
        state = _state("open" if run.get("is_open") else "closed")
        made.add_row(_plain(run.get("uid")), state, _state(run.get("exit_status")))
    yield made


def _plans(reply: Mapping[str, Any]) -> _Parts:
    plans = reply.get("plans_allowed") or reply.get("plans_existing") or {}
    made = _table("plan", "parameters", "description", caption=f"{len(plans)} plans")
    for name, plan in sorted(plans.items()):
        description = str(plan.get("description") or "").strip().partition("\n")[0]
        made.add_row(Text(printable(name), style="bold"), printable(signature_text(plan)), printable(description))
    yield made


def signature_text(plan: Mapping[str, Any]) -> str:
    """Return the parameters of a described plan as one writes them in Python."""
    words: list[str] = []
    has_star = False
    for parameter in plan.get("parameters") or ():
        kind = (parameter.get("kind") or {}).get("name")
        if kind == "KEYWORD_ONLY" and not has_star:
            words.append("*")
            has_star = True
        has_star = has_star or kind == "VAR_POSITIONAL"
        stars = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**"}.get(str(kind), "")
        default = f"={parameter['default']}" if "default" in parameter else ""
        words.append(f"{stars}{parameter.get('name')}{default}")
    return ", ".join(words)


def _devices(reply: Mapping[str, Any]) -> _Parts:
    devices = reply.get("devices_allowed") or reply.get("devices_existing") or {}
    made = _table("device", "class", "can be", "components", caption=f"{len(devices)} devices")
    for name, device in sorted(devices.items()):
        abilities = [word for word in ("readable", "movable", "flyable") if device.get(f"is_{word}")]
        components = ", ".join(device.get("components") or ())
        kind = _plain(device.get("classname"))
        made.add_row(Text(printable(name), style="bold"), kind, ", ".join(abilities) or "-", _short(printable(components)) or "-")
    yield made


def _lock(reply: Mapping[str, Any]) -> _Parts:
    lock = reply["lock_info"] or {}
    locked = [scope for scope in ("environment", "queue") if lock.get(scope)]
    if not locked:
        yield Text("Not locked.", style=_GOOD)
        return
    who = {"locked": " and ".join(locked), "by": lock.get("user"), "since": lock.get("time_str"), "note": lock.get("note")}
    yield _pairs(who | {"emergency key set": lock.get("emergency_lock_key_is_set")})


def _task(reply: Mapping[str, Any]) -> _Parts:
    status = reply.get("status")
    if isinstance(status, dict):  # of several tasks
        yield _pairs(status)
        return
    yield _pairs({"task": reply["task_uid"]} | ({"status": status} if status else {}))
    if isinstance(result := reply.get("result"), dict) and result:
        yield _pairs(_readable_times(result))


def _readable_times(result: Mapping[str, Any]) -> dict[str, Any]:
    started, took = _times(result)
    rest = {key: value for key, value in result.items() if key not in ("time_start", "time_stop", "task_uid")}
    return {"started": started, "took": took} | rest


def _item(reply: Mapping[str, Any]) -> _Parts:
    if item := reply["item"]:
        yield _pairs({key: repr(value) if key in ("args", "kwargs") else value for key, value in item.items()})
    else:
        yield Text("No item.")
    if isinstance(size := reply.get("qsize"), int):
        yield Text(f"{size} {'item' if size == 1 else 'items'} in the queue.", style="dim")


#: key by which a reply is known -> how it is shown; the first that fits
_VIEWS: Sequence[tuple[str, Callable[[Mapping[str, Any]], Iterable[RenderableType]]]] = (
    ("manager_state", _status),
    ("running_item", _queue),
    ("plan_history_uid", _history),
    ("run_list", _runs),
    ("plans_allowed", _plans),
    ("plans_existing", _plans),
    ("devices_allowed", _devices),
    ("devices_existing", _devices),
    ("lock_info", _lock),
    ("task_uid", _task),
    ("item", _item),
)
