"""`runtime.json`: how to reach the manager that runs now, written by it and read by everybody."""

from __future__ import annotations

import msgspec

from .home import decode_at_home, encode_at_home, home_of
from .paths import Instance, write_private
from .process import Identity, is_alive


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """Where the manager of an instance is found.

    Attributes
    ----------
    epoch
        Identity of this life of the manager.
    manager
        The manager's process.
    watchdog
        The watchdog's process; None if there is none.
    control_address, events_address
        Private 0MQ addresses (ipc).
    tcp_address, info_address
        Loopback addresses for existing clients; None if they are not served.
    public_key
        CurveZMQ server key of ``tcp_address`` (Z85); None: not encrypted.
    version
        Version of the package that runs.
    started
        Seconds since the epoch.
    """

    epoch: str
    manager: Identity
    watchdog: Identity | None = None
    control_address: str
    events_address: str
    tcp_address: str | None = None
    info_address: str | None = None
    public_key: str | None = None
    version: str
    started: float


def write_runtime(instance: Instance, runtime: Runtime) -> None:
    """Publish it at once for all readers."""
    write_private(instance.runtime_file, encode_at_home(runtime, home_of(instance.data_dir)))


def read_runtime(instance: Instance, *, living: bool = True) -> Runtime | None:
    """Return it; None if there is none, it is unreadable, or (with ``living``) its manager is dead.

    One that came here with a copy of another data directory is none: that manager is not ours.
    """
    try:
        runtime = decode_at_home(instance.runtime_file.read_bytes(), Runtime, instance.data_dir)
    except (OSError, msgspec.MsgspecError):
        return None
    if runtime is None or (living and not is_alive(runtime.manager)):
        return None
    return runtime


def remove_runtime(instance: Instance) -> None:
    """Take it back at the manager's orderly end."""
    instance.runtime_file.unlink(missing_ok=True)
