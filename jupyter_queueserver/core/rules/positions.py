"""Places in the queue, as clients name them: indices, ``front``, ``back``, uids.

Everything is turned into "before that uid" (None: at the back), in which changes are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ..errors import NotInQueue, RequestError
from ..items import Item
from ..state import State

Verb = Literal["get", "remove", "move"]


def insertion_point(state: State, pos: Any, before_uid: Any, after_uid: Any, negative_pos: Any = "index") -> str | None:
    """Return the uid before which a new item goes; None: at the back."""
    _check_negative_pos(negative_pos)
    if sum(value is not None for value in (pos, before_uid, after_uid)) > 1:
        raise RequestError(
            f"Ambiguous parameters: only one of 'pos', 'before_uid' and 'after_uid' may be given: "
            f"pos={pos!r}, before_uid={before_uid!r}, after_uid={after_uid!r}",
            code="ambiguous_position",
            hint="Give one of the three parameters.",
            path="pos",
        )
    if before_uid is not None or after_uid is not None:
        return _beside(state, before_uid, after_uid)
    return _insertion_index(state, pos, 0 if negative_pos == "insert" else -1)


def _check_negative_pos(value: Any) -> None:
    if value not in (None, "index", "insert"):
        raise RequestError(
            f"Parameter 'negative_pos' has incorrect value: {value!r}",
            code="bad_option",
            hint="Use 'index' (-1: the item becomes the last one) or 'insert' (-1: it is put before the last one).",
            path="negative_pos",
        )


def _beside(state: State, before_uid: Any, after_uid: Any) -> str | None:
    queue, running = state.queue, state.running
    if before_uid is not None:
        if running is not None and before_uid == running.item_uid:
            raise RequestError(
                "Can not insert a plan in the queue before a currently running plan.",
                code="before_running",
                hint="Use pos='front' for the first place in the queue.",
                path="before_uid",
            )
        return queued(state, before_uid, "before_uid").item_uid
    if running is not None and after_uid == running.item_uid:
        return queue.at(0).item_uid if len(queue) else None
    return queue.after(queued(state, after_uid, "after_uid").item_uid)


def _insertion_index(state: State, pos: Any, shift: int) -> str | None:
    """`shift` -1: a negative index is the one that the new item gets; 0: the one before which it is put."""
    queue = state.queue
    count = len(queue)
    if pos is None or pos == "back":
        return None
    if pos == "front":
        pos = 0
    if not is_index(pos):
        raise _bad_position(pos, "value")
    if pos < 0:
        pos = max(0, count + pos - shift)
    if pos >= count:
        return None
    return queue.at(pos).item_uid


def is_index(pos: Any) -> bool:
    """Whether it is an integer that is meant as one (True is not)."""
    return isinstance(pos, int) and not isinstance(pos, bool)


def queued(state: State, uid: Any, path: str, text: str = "Plan with UID '{uid}' is not in the queue.") -> Item:
    """Return the queued item of that uid."""
    item = state.queue.get(uid) if isinstance(uid, str) else None
    if item is None:
        raise NotInQueue(text.format(uid=uid), path=path)
    return item


def locate(state: State, pos: Any, uid: Any, verb: Verb) -> Item:
    """Return the queued item that is meant for reading or removing; the default is the back."""
    if pos is not None and uid is not None:
        raise RequestError(
            f"Ambiguous parameters: only one of 'pos' and 'uid' may be given: pos={pos!r}, uid={uid!r}",
            code="ambiguous_position",
            hint="Give either the position or the UID.",
            path="pos",
        )
    if uid is not None:
        return _by_uid(state, uid, verb)
    return _by_position(state, "back" if pos is None else pos, verb)


def _by_uid(state: State, uid: Any, verb: Verb) -> Item:
    running = state.running
    if running is not None and uid == running.item_uid:
        if verb == "remove":
            text = "Can not remove an item which is currently running."
        else:
            text = f"The item with UID '{uid}' is currently running."
        raise RequestError(text, code="item_running", hint="Only queued items can be addressed.", path="uid")
    what = "Item" if verb == "get" else "Plan"
    return queued(state, uid, "uid", f"{what} with UID '{{uid}}' is not in the queue.")


def _by_position(state: State, pos: Any, verb: Verb) -> Item:
    count = len(state.queue)
    if pos in ("front", "back"):
        if count == 0 and verb == "remove":
            raise NotInQueue("Queue is empty", code="queue_empty", hint="There is nothing to remove.", path="pos")
        index = 0 if pos == "front" else count - 1
    elif is_index(pos):
        index = pos if pos >= 0 else count + pos
    else:
        raise _bad_position(pos, "type" if verb == "get" else "value")
    if not 0 <= index < count:
        if verb == "get":
            raise NotInQueue(f"Index '{pos}' is out of range (parameter pos = '{pos}')", path="pos")
        raise NotInQueue(f"Index {pos} is out of range", path="pos")
    return state.queue.at(index)


def _bad_position(pos: Any, what: str) -> RequestError:
    return RequestError(
        f"Parameter 'pos' has incorrect {what}: pos={pos!r} (type={type(pos).__name__!r})",
        code="bad_position",
        hint="Use 'front', 'back' or an integer.",
        path="pos",
    )


def move_target(state: State, source: Item, pos_dest: Any, before_uid: Any, after_uid: Any) -> str | None:
    """Return the uid before which `source` goes; its own uid means that it stays where it is."""
    given = [value is not None for value in (pos_dest, before_uid, after_uid)]
    if not any(given):
        raise RequestError(
            "Destination position or UID is not specified.",
            code="no_destination",
            hint="Give one of 'pos_dest', 'before_uid' and 'after_uid'.",
            path="pos_dest",
        )
    if sum(given) > 1:
        raise RequestError(
            f"Ambiguous parameters: only one destination may be given: pos_dest={pos_dest!r}, "
            f"before_uid={before_uid!r}, after_uid={after_uid!r}",
            code="ambiguous_position",
            hint="Give one of the three parameters.",
            path="pos_dest",
        )
    if pos_dest is not None:
        return _move_to_index(state, source, pos_dest)
    uid = before_uid if before_uid is not None else after_uid
    reference = _destination(state, uid, "before_uid" if before_uid is not None else "after_uid")
    if reference.item_uid == source.item_uid:
        return source.item_uid
    return reference.item_uid if before_uid is not None else state.queue.after(reference.item_uid)


def _destination(state: State, uid: Any, path: str) -> Item:
    item = state.queue.get(uid) if isinstance(uid, str) else None
    if item is None:
        raise NotInQueue(f"Destination plan ('{uid}') was not found: it is not in the queue.", path=path)
    return item


def _move_to_index(state: State, source: Item, pos_dest: Any) -> str | None:
    queue = state.queue
    try:
        target = _by_position(state, pos_dest, "move")
    except RequestError as err:
        raise NotInQueue(
            f"Destination plan ({pos_dest!r}) was not found: {err.msg}", code=err.code, hint=err.hint, path="pos_dest"
        ) from err
    if target.item_uid == source.item_uid:
        return source.item_uid
    if queue.index(target.item_uid) > queue.index(source.item_uid):
        return queue.after(target.item_uid)
    return target.item_uid


def move_source(state: State, pos: Any, uid: Any) -> Item:
    """Return the queued item that is to be moved."""
    if pos is None and uid is None:
        raise RequestError(
            "Source position or UID is not specified.",
            code="no_source",
            hint="Give 'pos' or 'uid' of the item to move.",
            path="pos",
        )
    named = uid if uid is not None else pos
    try:
        return locate(state, pos, uid, "move")
    except NotInQueue as err:
        raise NotInQueue(f"Source plan ({named!r}) was not found: {err.msg}", path=err.path) from err


def batch_target(state: State, uids: Sequence[str], pos_dest: Any, before_uid: Any, after_uid: Any) -> str | None:
    """Return the uid before which a block of queued items goes, one that is not part of it; None: at the back."""
    given = [value is not None for value in (pos_dest, before_uid, after_uid)]
    if not any(given):
        raise RequestError(
            "Destination for the batch is not specified: use parameters 'pos_dest', 'before_uid' or 'after_uid'",
            code="no_destination",
            hint="Give one of 'pos_dest', 'before_uid' and 'after_uid'.",
            path="pos_dest",
        )
    if sum(given) > 1:
        raise RequestError(
            "Destination for the batch is ambiguous: more than one mutually exclusive parameter is given: "
            f"pos_dest={pos_dest!r}, before_uid={before_uid!r}, after_uid={after_uid!r}",
            code="ambiguous_position",
            hint="Give one of the three parameters.",
            path="pos_dest",
        )
    if not uids:
        return None
    if pos_dest is not None:
        return _block_at_index(state, uids, pos_dest)
    name, uid = ("before_uid", before_uid) if before_uid is not None else ("after_uid", after_uid)
    if uid in uids:
        raise RequestError(
            f"Parameter '{name}': item with UID '{uid}' is in the batch",
            code="ambiguous_position",
            hint="Name an item that is not moved.",
            path=name,
        )
    reference = queued(state, uid, name, f"Parameter '{name}': item with UID '{{uid}}' is not in the queue.")
    if before_uid is not None:
        return reference.item_uid
    return _first_outside(state, uids, state.queue.after(reference.item_uid))


def _block_at_index(state: State, uids: Sequence[str], pos_dest: Any) -> str | None:
    """The block takes that place among all the items."""
    if pos_dest == "front":
        return _first_outside(state, uids, state.queue.at(0).item_uid if len(state.queue) else None)
    if pos_dest == "back":
        return None
    first = queued(state, uids[0], "uids")
    before = _move_to_index(state, first, pos_dest)
    return _first_outside(state, uids, before)


def _first_outside(state: State, uids: Sequence[str], uid: str | None) -> str | None:
    """That item, or the first one behind it that is not in the block."""
    block = set(uids)
    while uid is not None and uid in block:
        uid = state.queue.after(uid)
    return uid
