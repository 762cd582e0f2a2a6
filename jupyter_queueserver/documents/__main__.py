"""``python -m jupyter_queueserver.documents``: the relay process of one instance.

Light at the start: what a consumer needs is imported when its first document is there.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from jupyter_queueserver.documents.consumers import Consumer
from jupyter_queueserver.documents.live import LiveConsumer
from jupyter_queueserver.documents.relay import AlreadyRunning, Relay, RelaySettings
from jupyter_queueserver.documents.tiled_saver import TiledSaver
from jupyter_queueserver.documents.trimming import Retention


def main(arguments: list[str] | None = None) -> int:
    """Run the relay; exit status 0 also when another one serves this journal already."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)  # all that it writes belongs to the instance
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line for each request of the saver
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # saves seconds; only a format check
    data_dir, socket_dir = options.data_dir.resolve(), options.socket_dir.resolve()
    consumers: list[Consumer] = [LiveConsumer(f"ipc://{socket_dir}/documents.ipc")]
    saver = TiledSaver(data_dir / "databroker") if options.saver == "auto" else None
    if saver is not None:
        consumers.append(saver)
    try:
        keep = Retention(age=options.keep_days * 86400.0, size=options.keep_bytes)
        relay = Relay(data_dir, socket_dir, consumers, RelaySettings(retention=keep))
    except AlreadyRunning as error:
        sys.stderr.write(f"{error}\n")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: relay.stop())
    signal.signal(signal.SIGINT, lambda *_: relay.stop())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    relay.run()
    if saver is not None:
        saver.end_server()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jupyter_queueserver.documents", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="data directory of the instance")
    parser.add_argument("--socket-dir", type=Path, required=True, help="private directory of its sockets")
    parser.add_argument(
        "--saver",
        choices=["auto", "none"],
        default="auto",
        help="auto: embedded Databroker; none: journal only",
    )
    keep = Retention()
    parser.add_argument("--keep-days", type=float, default=keep.age / 86400.0, help="youngest journal to keep, days")
    parser.add_argument("--keep-bytes", type=int, default=keep.size, help="newest journal to keep, bytes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
