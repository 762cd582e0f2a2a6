"""Locking environment and queue, and what a locked server refuses."""

from __future__ import annotations

import hmac
from typing import Any, Literal

from ..changes import LockSet
from ..config import Config
from ..decision import Step
from ..errors import RequestError, StateError
from ..locks import Lock, key_digest

_ASK_OWNER = "Ask the user who has locked it for the key, or wait until it is unlocked."


def require_key(lock: Lock, scope: Literal["environment", "queue"], key: str | None, config: Config) -> None:
    """Raise unless that scope is free or this is the key."""
    locked = lock.environment if scope == "environment" else lock.queue
    if locked and (key is None or not lock.opens(key)):
        raise _wrong_key(lock, config)


def _wrong_key(lock: Lock, config: Config) -> StateError:
    return StateError(f"Invalid lock key: \n{describe(lock, config)}", code="locked", hint=_ASK_OWNER, path="lock_key")


def describe(lock: Lock, config: Config) -> str:
    """Say who has locked what, over several lines."""
    what = " and ".join(name for name, locked in (("environment", lock.environment), ("queue", lock.queue)) if locked)
    lines = [
        f"RE Manager is locked by {lock.user} at {config.time_text(lock.time or 0.0)}",
        f"Locked: {what}",
        f"Emergency lock key is set: {config.emergency_lock_key is not None}",
    ]
    if lock.note:
        lines.append(f"Note: {lock.note}")
    return "\n".join(lines)


def lock(step: Step, *, key: Any, user: Any, environment: Any, queue: Any, note: Any) -> None:
    """Lock environment, queue or both; with the same key again: in another way."""
    _check_text(user, "user", "User name is not specified", "User name must be a non-empty string")
    _check_key(key)
    if note is not None and not isinstance(note, str):
        raise _wrong(f"Note must be a string or None: note = {note!r}", "note", "Send the note as text, or leave it out.")
    for name, value in (("environment", environment), ("queue", queue)):
        if not isinstance(value, bool):
            raise _wrong(f"The '{name}' parameter must be a boolean: {name} = {value!r}", name, "Send true or false.")
    if not environment and not queue:
        raise RequestError(
            "Invalid option: environment and/or queue must be selected: environment=False, queue=False",
            code="bad_option",
            hint="Send environment=true, queue=true or both.",
            path="environment",
        )
    before = step.state.lock
    if before.is_locked and not before.opens(key):
        raise StateError(
            f"RE Manager was locked with a different key: \n{describe(before, step.config)}",
            code="locked",
            hint=_ASK_OWNER,
            path="lock_key",
        )
    salt = step.new_uid()
    step.emit(
        LockSet(
            lock=Lock(
                environment=environment,
                queue=queue,
                user=user,
                note=note,
                time=step.now,
                uid=step.new_uid(),
                salt=salt,
                digest=key_digest(salt, key),
            )
        )
    )


def unlock(step: Step, key: Any) -> None:
    """Take the lock off, with its key or the emergency key."""
    if key is None:
        raise _wrong(
            "Request contains no lock key: the parameter 'lock_key' is missing", "lock_key", "Send the key in 'lock_key'."
        )
    _check_key(key)
    state = step.state
    if not state.lock.is_locked:
        return
    emergency = step.config.emergency_lock_key
    if not state.lock.opens(key) and not (emergency is not None and hmac.compare_digest(_bytes(key), _bytes(emergency))):
        raise _wrong_key(state.lock, step.config)
    step.emit(LockSet(lock=Lock(uid=step.new_uid())))


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def check_key(lock: Lock, key: Any, config: Config) -> None:
    """Raise unless it is unlocked or this is the key (the emergency key is not)."""
    if key is not None and not isinstance(key, str):
        raise _wrong(f"Lock key must be a non-empty string or None: lock_key = {key!r}", "lock_key", "Send the key as text.")
    if key is not None and lock.is_locked and not lock.opens(key):
        raise _wrong_key(lock, config)


def _check_key(key: Any) -> None:
    _check_text(key, "lock_key", "Lock key is not specified", "Lock key must be a non-empty string")


def _check_text(value: Any, name: str, missing: str, wrong: str) -> None:
    if value is None:
        raise _wrong(f"{missing}: the parameter '{name}' is required", name, f"Send '{name}' as text.")
    if not isinstance(value, str) or not value:
        raise _wrong(f"{wrong}: {name} = {value!r}", name, f"Send '{name}' as text that is not empty.")


def _wrong(text: str, path: str, hint: str) -> RequestError:
    return RequestError(text, code="wrong_type", hint=hint, path=path)
