"""Whether two lines said the same: equal up to uids, times, paths and process-bound values.

Uids are numbered in the order in which they appear, so that it counts which of them are the same.  What HTTP does otherwise is
declared here, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from line import Turn

from jupyter_queueserver.api import http_form, methods
from jupyter_queueserver.api.registry import REQUEST_ID

_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATE = re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d")
_FILE = re.compile(r"go-\d+")
#: New at each status, so that it only tells how often something changed.
_VOLATILE = ("status_uid",)
#: Values of the process: only their keys can be compared; then those of which it only counts whether they are there.
_KEYS_ONLY = ("ip_connect_info", "re_metadata")
_OPAQUE = ("time", "time_str", "time_start", "time_stop", "traceback", "summary", "reason")
#: What only a real worker can tell of an ending; sentences are made of it.
_REAL = ("failure", "last_document")


class Normal:
    """Replaces what differs from run to run, in the order of appearance.

    Parameters
    ----------
    folder
        Of the conversation's files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._names: dict[str, str] = {}

    def __call__(self, value: Any, key: str = "") -> Any:
        if key in _OPAQUE:
            return f"<{key}>" if value else value
        if key in _VOLATILE:
            return f"<{key}>"
        if key in _KEYS_ONLY:
            return sorted(value)
        if key == "scan_ids":
            return [self._named("scan", str(number)) for number in value]
        if key == "scan_id" and value is not None:
            return self._named("scan", str(value))
        if isinstance(value, Mapping):
            return {self._text(name): self(value[name], name) for name in sorted(value) if name not in _REAL}
        if isinstance(value, list):
            return [self(each) for each in value]
        return self._text(value) if isinstance(value, str) else value

    def _text(self, text: str) -> str:
        text = _UID.sub(lambda found: self._named("uid", found[0]), text.replace(self._folder, "<folder>"))
        text = _FILE.sub(lambda found: self._named("file", found[0]), text)
        return _DATE.sub("<date>", text)

    def _named(self, kind: str, word: str) -> str:
        return self._names.setdefault(f"{kind} {word}", f"<{kind} {sum(name.startswith(kind) for name in self._names)}>")


def form_status(method: str, params: Mapping[str, Any]) -> int:
    """The HTTP status that the interface lays down for the form of a body, whatever the manager would say."""
    declared = methods()[method]
    if method in http_form.RAW or method in http_form.IGNORE_BODY:
        return 200
    key = http_form.JUDGED_BY_MANAGER.get(method)
    if key is not None and key not in params:
        return 200
    if method == "queue_mode_set" and "mode" not in params:
        return 200  # the keys of the mode itself
    unknown = set(params) - {*declared.parameter_names, REQUEST_ID.name}
    missing = http_form.WANTED.get(method, "") not in (*params, "")
    return 400 if unknown or missing or any(not _fits(method, name, value) for name, value in params.items()) else 200


def _fits(method: str, name: str, value: Any) -> bool:
    match name:
        case "item":
            return isinstance(value, dict)
        case "items":
            return isinstance(value, list) and all(isinstance(each, dict) for each in value)
        case "lock_key":
            return isinstance(value, str) and value != "" if value is not None else method not in ("lock", "unlock")
        case "enable":
            return isinstance(value, bool)
        case "task_uid":
            return isinstance(value, str) or (method == "task_status" and isinstance(value, list))
        case "option":
            return method != "re_runs" or isinstance(value, str)
        case _:
            return True


def check_same(turns: Sequence[Turn], reference: Sequence[Turn], folders: tuple[Path, Path], *, is_http: bool) -> None:
    """Raise ``AssertionError`` at the first turn that differs."""
    mine, theirs = (Normal(folder) for folder in folders)
    for place, (turn, other) in enumerate(zip(turns, reference, strict=True)):
        where = f"turn {place}: {turn.method} {turn.params}"
        said = mine(_asked(turn, is_http))
        assert said == theirs(_asked(other, is_http)), f"the conversations parted before {where}"
        status = form_status(turn.method, turn.params) if is_http else 200
        assert turn.reply.get("http_status", 200) == status, f"{where}: {turn.reply}"
        if status == 200:
            assert mine(turn.reply) == theirs(other.reply), where
        else:
            assert other.reply["success"] is False, f"{where}: refused over HTTP only"


def _asked(turn: Turn, is_http: bool) -> dict[str, Any]:
    hidden = http_form.IDENTITY_KEYS if is_http else ()
    return {"method": turn.method, **{name: value for name, value in turn.params.items() if name not in hidden}}
