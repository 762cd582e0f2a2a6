"""Where the worker's kernel listens, and who finds it: sockets, ports, and a copy of its connection file.

Chooses addresses and writes files; starts nothing and speaks to nobody.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from pathlib import Path

import msgspec

from ..instance import write_private
from .kernel_options import CHANNELS, KernelOptions
from .wire import KERNEL_NAME, ConnectionInfo


def choose_connection(options: KernelOptions, sockets: str) -> ConnectionInfo:
    """Choose addresses and a key; raises ``OSError`` when a port cannot be used.

    Parameters
    ----------
    sockets
        Beginning of the paths of Unix sockets.
    """
    key = secrets.token_hex(32)
    if options.ip is None:
        return ConnectionInfo(ip=sockets, key=key)
    ip = own_address() if options.ip == "auto" else options.ip
    ports = free_ports(ip, {channel: getattr(options, f"{channel}_port") or 0 for channel in CHANNELS})
    info = ConnectionInfo(transport="tcp", ip=ip, key=key)
    return msgspec.structs.replace(info, **{f"{channel}_port": port for channel, port in ports.items()})


def free_ports(ip: str, wished: dict[str, int]) -> dict[str, int]:
    """Return a port for each channel; 0 stands for any free one.

    Raises ``OSError`` with channel and port for one that cannot be used: the kernel would end with a mere traceback.
    """
    found: dict[str, int] = {}
    with contextlib.ExitStack() as held:  # all at once, so that none is found twice
        for channel in sorted(wished, key=lambda channel: not wished[channel]):
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ip, wished[channel]))
                probe.listen(1)  # two that only bind may share a port
            except OSError as err:
                where = f"{ip}:{wished[channel] or '*'}"
                raise OSError(f"The kernel's {channel} channel cannot use {where}: {err.strerror}.") from err
            found[channel] = probe.getsockname()[1]
    return found


def own_address() -> str:
    """IPv4 address by which other machines reach this one; 127.0.0.1 if it has no network.  Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: only the route is looked up
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


def copy_path(name: str | None, directory: str | None, environment_id: str) -> str | None:
    """Path of the copy of the connection file; None if neither name nor directory is wished."""
    if name is None and directory is None:
        return None
    if directory is None:
        from jupyter_core.paths import jupyter_runtime_dir

        directory = jupyter_runtime_dir()
    return str(Path(directory) / Path(name or f"kernel-{environment_id}.json").expanduser())


def place_copy(path: str, info: ConnectionInfo) -> None:
    """Write the copy, in the place of one that an earlier environment left; raises ``OSError`` if the file is somebody else's."""
    target = Path(path)
    if target.exists() and _key_of(target) is None:
        raise OSError(f"The connection file {target} exists and is not that of an environment; choose another name.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(target, msgspec.json.encode(info))


def remove_copy(path: str, info: ConnectionInfo) -> None:
    """Delete the copy, unless it is that of another environment by now."""
    if _key_of(Path(path)) == info.key:
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _key_of(path: Path) -> str | None:
    """Key in a connection file of ours; None for any other file."""
    try:
        info = msgspec.json.decode(path.read_bytes(), type=ConnectionInfo)
    except (OSError, msgspec.MsgspecError):
        return None
    return info.key if info.kernel_name == KERNEL_NAME else None
