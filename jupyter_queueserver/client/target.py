"""Where the manager is: an address that was given, an environment variable, ``runtime.json``, then port 60615.

Reads two small things (environment, one file); opens no socket.
"""

from __future__ import annotations

import os
import re

import msgspec

from ..core.addresses import CONTROL_PORT, Z85_KEY
from ..instance import Instance, Runtime, find_instance, is_alive, read_runtime
from ..instance.paths import DATA_DIR_VARIABLE
from .errors import SettingsError

ADDRESS_VARIABLE = "QSERVER_ZMQ_CONTROL_ADDRESS"
PUBLIC_KEY_VARIABLE = "QSERVER_ZMQ_PUBLIC_KEY"
ENCODING_VARIABLE = "QSERVER_ZMQ_ENCODING"
LOCK_KEY_VARIABLE = "QSERVER_LOCK_KEY"
DEFAULT_ADDRESS = f"tcp://localhost:{CONTROL_PORT}"

_ADDRESS = re.compile(r"(tcp://[^\s/:]+:\d{1,5}|tcp://\[[^\]\s]+\]:\d{1,5}|ipc://.+|inproc://.+)")
_PORT = re.compile(r"^tcp:.*:(\d{1,5})$")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach one manager.

    Attributes
    ----------
    control
        0MQ address of the control socket.
    events
        0MQ address of the event stream; None: not known (a manager that was given by its TCP address only).
    public_key
        CurveZMQ key of the control socket (Z85); None: not encrypted.
    origin
        Where the address was found, for error messages.
    is_private
        Whether it is the private address of an instance: always JSON, never encrypted.
    """

    control: str
    events: str | None
    public_key: str | None
    origin: str
    is_private: bool = False


def find_target(address: str | None = None, *, instance: Instance | None = None, public_key: str | None = None) -> Target:
    """Find the manager.

    Parameters
    ----------
    address
        0MQ address; None: environment variable, ``runtime.json``, port 60615, in this order.
    instance
        The instance whose manager is meant; None: the one of this user or of the environment variable.  A given instance
        beats the address variable, and its private address is used even before its manager runs; so is that of an instance
        named by the environment variable, unless an address is given too.
    public_key
        CurveZMQ key of the server (Z85); None: environment variable, else what the instance says of that address.

    Raises
    ------
    SettingsError
        Address or key cannot be used.
    """
    key = public_key or os.environ.get(PUBLIC_KEY_VARIABLE) or None
    if key is not None and not Z85_KEY.fullmatch(key):
        raise SettingsError(f"The public key must be Z85 text of 40 characters (argument or {PUBLIC_KEY_VARIABLE}).")
    if instance is None and address is None and not os.environ.get(ADDRESS_VARIABLE) and os.environ.get(DATA_DIR_VARIABLE):
        instance = find_instance()  # an instance was named: no other manager may be asked in its place
    place = instance or find_instance()
    runtime = _usable_runtime(place)
    origin = "given"
    if address is None and instance is None and (found := os.environ.get(ADDRESS_VARIABLE)):
        address, origin = found, f"from {ADDRESS_VARIABLE}"
    if address is not None:
        return _given(address, origin, key, runtime)
    if runtime is not None or instance is not None:
        _check_sockets(place)
    if runtime is not None:
        return Target(
            control=runtime.control_address,
            events=runtime.events_address,
            public_key=None,
            origin=f"from {place.runtime_file}",
            is_private=True,
        )
    if instance is not None:
        return Target(
            control=instance.control_address,
            events=instance.events_address,
            public_key=None,
            origin=f"private address of {instance.data_dir}",
            is_private=True,
        )
    return Target(control=DEFAULT_ADDRESS, events=None, public_key=key, origin=f"the default; {place.runtime_file} names none")


def _check_sockets(place: Instance) -> None:
    try:
        place.check_sockets()
    except PermissionError as err:
        raise SettingsError(f"The manager of {place.data_dir} is not asked: {err}.") from err


def check_address(address: str) -> str:
    """Return the address if a socket can be connected to it; raises `SettingsError` if not."""
    port = _PORT.search(address)
    if not _ADDRESS.fullmatch(address) or (port is not None and not 0 < int(port[1]) < 65536):
        raise SettingsError(f"{address!r} is no address of the form tcp://host:port or ipc:///path.")
    return address


def _given(address: str, origin: str, key: str | None, runtime: Runtime | None) -> Target:
    check_address(address)
    events: str | None = None
    is_private = runtime is not None and address == runtime.control_address
    if runtime is not None:
        if is_private:
            key, events = None, runtime.events_address
        elif runtime.tcp_address and _same(address, runtime.tcp_address):
            key, events = key or runtime.public_key, runtime.events_address
    return Target(control=address, events=events, public_key=key, origin=origin, is_private=is_private)


def _same(one: str, other: str) -> bool:
    return one.replace("//localhost:", "//127.0.0.1:") == other.replace("//localhost:", "//127.0.0.1:")


def _usable_runtime(instance: Instance) -> Runtime | None:
    """A manager that is dead but watched comes back at the same address within seconds: it counts."""
    runtime = read_runtime(instance, living=False)
    if runtime is None:
        return None
    watched = runtime.watchdog is not None and is_alive(runtime.watchdog)
    return runtime if watched or is_alive(runtime.manager) else None
