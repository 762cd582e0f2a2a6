"""Locking environment and queue."""

from __future__ import annotations

from typing import Any

from ..core.config import Config
from ..core.errors import QueueServerError
from ..core.locks import Lock
from ..core.rules import lock as rules
from .registry import Context, Key, State, Step, read, write
from .schemas import LOCK_INFO, UID_OR_NULL

_REPLY = {
    "lock_info": Key(LOCK_INFO, {}, "who has locked what"),
    "lock_info_uid": Key(UID_OR_NULL, None, "changes with every locking and unlocking"),
}


def _info(lock: Lock, config: Config) -> dict[str, Any]:
    return {
        "lock_info": {
            "environment": lock.environment,
            "queue": lock.queue,
            "user": lock.user,
            "note": lock.note,
            "time": lock.time,
            "time_str": "" if lock.time is None else config.time_text(lock.time),
            "emergency_lock_key_is_set": config.emergency_lock_key is not None,
        },
        "lock_info_uid": lock.uid,
    }


@write(scope="write:lock", prefix="Error: ", words="lock", shape="lock", reply=_REPLY)
def lock(
    step: Step, *, lock_key: str, user: str, environment: bool = False, queue: bool = False, note: str | None = None
) -> dict[str, Any]:
    """Lock the environment, the queue or both: what changes them is refused without the key.

    Parameters
    ----------
    lock_key
        The key, any text that is not empty.
    user
        Who locks it.
    environment, queue
        What is locked; at least one of them.
    note
        Text for the others.
    """
    rules.lock(step, key=lock_key, user=user, environment=environment, queue=queue, note=note)
    return _info(step.state.lock, step.config)


@read(scope="read:lock", prefix="Error: ", words="lock info", reply=_REPLY)
def lock_info(state: State, context: Context, *, lock_key: str | None = None) -> dict[str, Any]:
    """Return who has locked what; with a key: also whether it is the right one.

    Parameters
    ----------
    lock_key
        The key to try.
    """
    info = _info(state.lock, context.config)
    try:
        rules.check_key(state.lock, lock_key, context.config)
    except QueueServerError as err:
        err.data |= info
        raise
    return info


@write(scope="write:lock", prefix="Error: ", words="unlock", shape="unlock", reply=_REPLY)
def unlock(step: Step, *, lock_key: str) -> dict[str, Any]:
    """Take the lock off.

    Parameters
    ----------
    lock_key
        The key, or the server's emergency key.
    """
    try:
        rules.unlock(step, lock_key)
    except QueueServerError as err:
        if err.code == "locked":
            err.data |= _info(step.state.lock, step.config)
        raise
    return _info(step.state.lock, step.config)
