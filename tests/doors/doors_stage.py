"""Starting a server whose doors are tried, and what the system says of its processes."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from harness import PROGRAM, STARTUP, Server

from jupyter_queueserver.instance import Runtime

#: What `start-re-manager` is told so that every socket that there may be is there.
ALL_DOORS = (
    "--zmq-control-addr=tcp://127.0.0.1:0",
    "--zmq-info-addr=tcp://127.0.0.1:0",
    "--legacy=tcp://127.0.0.1:0",
    "--zmq-publish-console=ON",
)


def start(server: Server, *options: str, umask: int = -1, files: int | None = None, **environ: str) -> Runtime:
    """Start it in the background with exactly these options, beside the data directory and the startup code.

    ``files``: most files that each of its processes may open; None: as many as this one.
    """
    command = [*PROGRAM, "start-re-manager", "--detach", "--data-dir", str(server.data_dir), "--startup-dir", str(STARTUP)]
    if files is not None:
        command = ["sh", "-c", f'ulimit -n {files} && exec "$@"', "sh", *command]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=80, check=False, env={**os.environ, **environ}, umask=umask
    )
    assert done.returncode == 0, done.stderr
    return server.runtime()


def listening(pid: int) -> set[str]:
    """Addresses at which a process listens by TCP, as ``host:port``, from the kernel's own table."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = os.readlink(handle)
        except OSError:
            continue
        if name.startswith("socket:["):
            inodes.add(name[8:-1])
    found = set()
    for table, family, size in (("tcp", socket.AF_INET, 4), ("tcp6", socket.AF_INET6, 16)):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, port = fields[1].split(":")
                packed = b"".join(bytes.fromhex(host[at : at + 8])[::-1] for at in range(0, 2 * size, 8))
                found.add(f"{socket.inet_ntop(family, packed)}:{int(port, 16)}")
    return found
