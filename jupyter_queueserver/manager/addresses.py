"""Which 0MQ addresses and keys may be used: nothing is opened to the network by accident.

Pure checks; no socket is touched.
"""

from __future__ import annotations

import ipaddress
import re

from .settings import SettingsError

_TCP = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:\[\]/]+):(?P<port>\d{1,5}|\*)")
_Z85 = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")


def check_address(address: str, option: str, may_be_remote: bool) -> str:
    """Return the address to bind; ``localhost`` becomes 127.0.0.1.

    Parameters
    ----------
    option
        Name used in the sentence of a refusal.
    may_be_remote
        Whether other machines may reach it.

    Raises
    ------
    SettingsError
        It is no ``tcp://host:port`` or ``ipc://path``, or it would be open to the network without permission.
    """
    if address.startswith("ipc://") and len(address) > len("ipc://"):
        return address
    match = _TCP.fullmatch(address)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
        raise SettingsError(f"{option} {address!r} is no address such as tcp://127.0.0.1:60615 or ipc:///path (or --private).")
    if match["host"] == "localhost":
        return f"tcp://127.0.0.1:{match['port']}"
    if not may_be_remote and not _is_loopback(match["host"]):
        raise SettingsError(
            f"{option} {address} would let every machine of the network control the queue. Use"
            f" tcp://127.0.0.1:{match['port']}, or set a private key (QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER), or"
            " add --allow-remote if the network is trusted."
        )
    return address


def check_kernel_address(address: str, may_be_remote: bool) -> str:
    """Return the IPv4 address at which the worker's kernel is to listen, or ``auto`` for this machine's own.

    Raises
    ------
    SettingsError
        It is no such address, or it would be open to the network without permission: the messages are signed but not
        encrypted.
    """
    option = "--ipython-kernel-ip"
    if address == "localhost":
        return "127.0.0.1"
    if address != "auto":
        try:
            found = ipaddress.IPv4Address(address)
        except ValueError:
            raise SettingsError(f"{option} {address!r} is neither localhost nor auto nor an IPv4 address.") from None
        if found.is_unspecified:
            raise SettingsError(
                f"{option} {address} is no address that a console can connect to; use auto, or one of this machine."
            )
        if found.is_loopback:
            return address
    if not may_be_remote:
        raise SettingsError(
            f"{option} {address} would open the worker's kernel to the network, not encrypted. Use localhost, or add"
            " --allow-remote if the network is trusted."
        )
    return address


def check_private_key(key: str) -> None:
    """Raise `SettingsError` unless the key is Z85 text of 40 characters; the key itself is not repeated."""
    if not _Z85.fullmatch(key):
        raise SettingsError("The private key of the 0MQ socket must be Z85 text of 40 characters.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
