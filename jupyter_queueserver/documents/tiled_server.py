"""``python -m jupyter_queueserver.documents.tiled_server``: the embedded Databroker, a Tiled catalog on SQLite.

A process of its own, on loopback, with a key; it ends after some minutes without a request. It must not know the
journal: only the relay writes into it.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from jupyter_queueserver.documents.embedded import INFO_NAME, ServerInfo
from jupyter_queueserver.instance import identity_of, write_private

__all__ = ["Activity", "catalog_config", "main"]


def catalog_config(directory: Path, key: str) -> dict[str, Any]:
    """Configuration of Tiled: SQLite for catalog and tables (several processes may read), files for arrays."""
    return {
        "authentication": {"single_user_api_key": key},
        "trees": [
            {
                "path": "/",
                "tree": "catalog",
                "args": {
                    "uri": f"sqlite:///{directory}/catalog.db",
                    "writable_storage": [
                        f"file://localhost{directory}/data",
                        f"sqlite:///{directory}/tables.db",
                    ],
                    "init_if_not_exists": True,
                    "specs": [{"name": "CatalogOfBlueskyRuns", "version": "3.0"}],
                },
            }
        ],
        "media_types": {"BlueskyRun": {"application/json-seq": "bluesky_tiled_plugins.exporters:json_seq_exporter"}},
    }


class Activity:
    """ASGI layer that knows when the server was last used.

    Parameters
    ----------
    app
        The application underneath.
    clock
        Seconds, monotonic.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._busy = 0
        self._last = clock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on; requests and websockets count as use, the life cycle does not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        self._busy += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._busy -= 1
            self._last = self._clock()

    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is under way."""
        return 0.0 if self._busy else self._clock() - self._last


def main(arguments: list[str] | None = None) -> int:
    """Serve until idle; exit status 0 also when another process serves this directory already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--idle-minutes", type=float, default=10.0)
    options = parser.parse_args(arguments)
    directory: Path = options.directory.resolve()
    os.umask(0o077)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in directory.glob("*.db*"):
        path.chmod(0o600)  # an earlier version left them to the umask of its user
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    lock = os.open(directory / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write(f"{directory} is served already\n")
        return 0
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # saves seconds; only a format check
    asyncio.run(_serve(directory, options.idle_minutes * 60.0))
    return 0


async def _serve(directory: Path, idle_limit: float) -> None:
    import uvicorn
    from tiled.server.app import build_app_from_config

    key = _key(directory)
    (directory / "data").mkdir(mode=0o700, exist_ok=True)
    activity = Activity(build_app_from_config(catalog_config(directory, key)))
    listening = _listen(directory)
    config = uvicorn.Config(activity, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    info = directory / INFO_NAME
    try:
        while not server.started and not serving.done():
            await asyncio.wait([serving], timeout=0.02)
        if server.started:
            address = f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
            write_private(info, msgspec.json.encode(ServerInfo(address, key, identity_of())))
        while not serving.done() and activity.idle_seconds() < idle_limit:
            await asyncio.wait([serving], timeout=min(5.0, idle_limit))
        info.unlink(missing_ok=True)  # before the end, so that nobody is sent to a server that is leaving
        server.should_exit = True
        await serving
    finally:
        info.unlink(missing_ok=True)


def _key(directory: Path) -> str:
    """The key of this catalog, the same for ever so that clients survive a restart; readable for the owner only."""
    path = directory / "key"
    if not path.exists():
        write_private(path, secrets.token_hex(24).encode())
    return path.read_text().strip()


def _listen(directory: Path) -> socket.socket:
    """A loopback socket, on the port of last time if that is free (clients that know it go on working)."""
    remembered = directory / "port"
    # with the protocol named, asyncio sets TCP_NODELAY; without, each answer would wait 40 ms for an acknowledgement
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", int(remembered.read_text())))
    except (OSError, ValueError, OverflowError):
        listening.bind(("127.0.0.1", 0))
    write_private(remembered, str(listening.getsockname()[1]).encode())
    return listening


if __name__ == "__main__":
    sys.exit(main())
