"""Which store is meant by the options: a file, a Redis server, with which prefix and password.

A password is taken from an environment variable, a file, or the configuration file, never from the command line, which others
can read; and it is never part of a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.redis_address import from_short_form, is_redis_address, split_password
from .option_table import Given
from .settings import SettingsError

_LOCAL = ("sqlite", "memory")
_REDIS = ("redis_addr", "redis_name_prefix", "redis_password", "redis_password_file")


def resolve_store(given: Mapping[str, Given]) -> dict[str, Any]:
    """Return the fields of the settings that say where queue and history are kept; raises `SettingsError`."""
    said = given.get("store")
    if said is None and "redis_addr" in given:
        addr = given["redis_addr"]
        said = Given(from_short_form(addr.value), addr.where)
    if said is None:
        return {}
    if said.value in _LOCAL:
        return {"store": said.value}
    if not is_redis_address(said.value):
        shown = f" {said.value!r}" if "@" not in said.value else ""
        raise SettingsError(
            f"The value{shown} of {said.where} must be sqlite, memory, or the address of a Redis server (redis://host:port/db)."
        )
    try:
        url, inside = split_password(said.value)
    except ValueError as error:
        raise SettingsError(f"The address of {said.where} cannot be used: {error}.") from None  # its text may have the password
    if inside is not None and said.where.startswith("--"):
        raise SettingsError(
            f"The address of {said.where} holds a password, and command lines can be read by others: leave it out and give the"
            " password with QSERVER_REDIS_PASSWORD_FILE or QSERVER_REDIS_PASSWORD."
        )
    found: dict[str, Any] = {"store": url, "redis_password": _password(given, said.where, inside)}
    if "redis_name_prefix" in given:
        found["redis_name_prefix"] = given["redis_name_prefix"].value
    return found


def store_warnings(given: Mapping[str, Given]) -> tuple[str, ...]:
    """Return a sentence about what is said of Redis and has no effect."""
    said = given.get("store")
    if said is None and "redis_addr" in given:
        return ()
    uses_redis = said is not None and is_redis_address(said.value)
    idle = [given[name].where for name in (_REDIS[:1] if uses_redis else _REDIS) if name in given]
    if not idle:
        return ()
    why = f"{said.where} says where the queue is kept" if said is not None else "the queue is kept in the data directory (SQLite)"
    return (f"{' and '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect: {why}.",)


def _password(given: Mapping[str, Given], where: str, inside: str | None) -> str | None:
    """The one password that was given; raises `SettingsError` if there are several, or its file cannot be read."""
    places = [where] if inside is not None else []
    places += [given[name].where for name in ("redis_password", "redis_password_file") if name in given]
    if len(places) > 1:
        raise SettingsError(f"The password of the Redis server is given more than once: {', '.join(places)}. Leave one.")
    if inside is not None:
        return inside
    if "redis_password" in given:
        return given["redis_password"].value
    if "redis_password_file" not in given:
        return None
    file = given["redis_password_file"]
    path = Path(file.value).expanduser()
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The file {path} of {file.where} cannot be read: {error}.") from error
    if not text or "\n" in text:
        raise SettingsError(f"The file {path} of {file.where} must hold the password in one line.")
    return text
