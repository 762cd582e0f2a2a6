"""Changes of queue, history and results of tasks as words for the script of the Redis store.

Each is a name, the number of words that follow, and these; the order of the queue is made by the script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import singledispatch

from ..core import changes as ch
from ..core.items import Item
from ..core.state import State
from .redis_server import Word
from .texts import PARTS, TOUCHED, part_texts, request_text, result_text, touched_parts

#: changes after which a store holds less than before; a full server takes them
_SHRINKING = (ch.QueueRemoved, ch.QueueCleared, ch.HistoryTrimmed, ch.TaskResultsForgotten, ch.TasksDropped, ch.RequestsForgotten)


def words_of(changes: Sequence[ch.AnyChange], after: State) -> list[Word]:
    """Return what a commit writes."""
    words: list[Word] = []
    for change in changes:
        words += _words(change)
    parts = part_texts(after, touched_parts(changes))
    return words + _named("parts", [word for pair in parts.items() for word in pair])


def makes_smaller(changes: Iterable[ch.AnyChange]) -> bool:
    """Tell whether the changes only take away."""
    return all(isinstance(change, _SHRINKING) for change in changes)


def all_parts(state: State) -> list[Word]:
    """Return names and texts of all parts, in turn."""
    return [word for pair in part_texts(state, PARTS).items() for word in pair]


def pairs(items: Iterable[Item]) -> list[Word]:
    """Return uids and texts of items, in turn."""
    return [word for item in items for word in (uid_word(item.item_uid), item.text)]


def uid_word(uid: str) -> bytes:
    """Return a uid as the server keeps it; half a surrogate pair passes too."""
    return uid.encode("utf-8", "surrogatepass")


def _named(name: str, words: Sequence[Word]) -> list[Word]:
    return [name, len(words), *words] if words else []


def _uids(uids: Iterable[str]) -> list[Word]:
    return [uid_word(uid) for uid in uids]


@singledispatch
def _words(change: ch.AnyChange) -> list[Word]:
    """What a change does to queue, history and results; the parts are written apart."""
    if type(change) not in TOUCHED:
        raise TypeError(f"{type(change).__name__} is not a change that can be stored")
    return []


@_words.register
def _(change: ch.QueueInserted) -> list[Word]:
    return _named("insert", [uid_word(change.before or ""), *pairs(change.items)]) if change.items else []


@_words.register
def _(change: ch.QueueRemoved) -> list[Word]:
    return _named("remove", _uids(change.uids))


@_words.register
def _(change: ch.QueueMoved) -> list[Word]:
    return _named("move", [uid_word(change.before or ""), *_uids(change.uids)])


@_words.register
def _(change: ch.QueueReplaced) -> list[Word]:
    return _named("replace", [uid_word(change.uid), *pairs([change.item])])


@_words.register
def _(change: ch.QueueCleared) -> list[Word]:
    return ["clear", 0]


@_words.register
def _(change: ch.HistoryAppended) -> list[Word]:
    return _named("append", pairs(change.items))


@_words.register
def _(change: ch.HistoryTrimmed) -> list[Word]:
    return _named("trim", [max(change.count, 0)])


@_words.register
def _(change: ch.TaskFinished) -> list[Word]:
    return _named("result", [uid_word(change.result.task_uid), result_text(change.result)])


@_words.register
def _(change: ch.TaskResultsForgotten) -> list[Word]:
    return _named("forget", _uids(change.task_uids))


@_words.register
def _(change: ch.RequestRecorded) -> list[Word]:
    if change.record is None:
        return []
    reply = change.reply or b""
    return _named("request", [uid_word(change.record.request_id), request_text(change.record), reply])


@_words.register
def _(change: ch.RequestsForgotten) -> list[Word]:
    return _named("unrequest", _uids(change.request_ids))
