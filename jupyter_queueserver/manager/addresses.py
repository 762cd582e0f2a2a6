"""Which 0MQ addresses and keys may be used: nothing is opened to the network by accident.

Pure checks; no socket is touched.
"""

from __future__ import annotations

import ipaddress
import re

from ..core.addresses import CONTROL_PORT, Z85_KEY
from .settings import SettingsError

_TCP = re.compile(r"tcp://(?P<host>\[[^\]]+\]|[^:\[\]/]+):(?P<port>\d{1,5}|\*)")


def check_address(address: str, where: str, may_be_remote: bool) -> str:
    """Return the address at which a control socket is to be bound; ``localhost`` becomes 127.0.0.1.

    Parameters
    ----------
    where
        Where the address stands, for the sentence of a refusal.
    may_be_remote
        Whether other machines may reach it.

    Raises
    ------
    SettingsError
        It is no ``tcp://host:port`` or ``ipc://path``, or it would be open to the network without permission.
    """
    bound, port = _parsed(address, where)
    if port is not None and not may_be_remote:
        raise SettingsError(
            f"{where} {address} would let every machine of the network control the queue. Use"
            f" tcp://127.0.0.1:{port}, or set a private key (QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER), or"
            " add --allow-remote if the network is trusted."
        )
    return bound


def check_info_address(address: str, where: str, may_be_remote: bool) -> str:
    """Return the address at which console text is to be published; as `check_address`, but a key does not help: this text is
    never encrypted.
    """
    bound, port = _parsed(address, where)
    if port is not None and not may_be_remote:
        raise SettingsError(
            f"{where} {address} would let every machine of the network read the console text, which is never encrypted. Use"
            f" tcp://127.0.0.1:{port}, or do not publish it (--zmq-publish-console OFF), or add --allow-remote if the"
            " network is trusted."
        )
    return bound


def _parsed(address: str, where: str) -> tuple[str, str | None]:
    """Return the address to bind, and its port if other machines could reach it there, else None."""
    if address.startswith("ipc://") and len(address) > len("ipc://"):
        return address, None
    match = _TCP.fullmatch(address)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65535):
        example = f"tcp://127.0.0.1:{CONTROL_PORT}"
        raise SettingsError(f"{where} {address!r} is no address such as {example} or ipc:///path (or --private).")
    if match["host"] == "localhost":
        return f"tcp://127.0.0.1:{match['port']}", None
    return address, None if _is_loopback(match["host"]) else match["port"]


def check_kernel_address(address: str, where: str, may_be_remote: bool) -> str:
    """Return the IPv4 address at which the worker's kernel is to listen, or ``auto`` for this machine's own.

    Raises
    ------
    SettingsError
        It is no such address, or it would be open to the network without permission: the messages are signed but not
        encrypted.
    """
    if address == "localhost":
        return "127.0.0.1"
    if address != "auto":
        try:
            found = ipaddress.IPv4Address(address)
        except ValueError:
            raise SettingsError(f"{where} {address!r} is neither localhost nor auto nor an IPv4 address.") from None
        if found.is_unspecified:
            raise SettingsError(
                f"{where} {address} is no address that a console can connect to; use auto, or one of this machine."
            )
        if found.is_loopback:
            return address
    if not may_be_remote:
        raise SettingsError(
            f"{where} {address} would open the worker's kernel to the network, not encrypted. Use localhost, or add"
            " --allow-remote if the network is trusted."
        )
    return address


def check_private_key(key: str, where: str) -> None:
    """Raise `SettingsError` unless the key is Z85 text of 40 characters; the key itself is not repeated."""
    if not Z85_KEY.fullmatch(key):
        raise SettingsError(f"The private key of the 0MQ socket ({where}) must be Z85 text of 40 characters.")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
