"""The manager's process: ``python -m jupyter_queueserver.manager --settings FILE``, started by the watchdog."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys

from ..core.errors import QueueServerError, ServiceError
from ..storage import RedisOptions, Store, open_store
from . import faultpoints
from .crowd import make_room
from .heartbeat import Heartbeat
from .plain_lines import PlainFormatter
from .service import Service
from .settings import Settings, SettingsError, read_settings

#: Exit status that tells the watchdog not to try again.
REFUSED = 3

_LEVELS = {"VERBOSE": logging.DEBUG, "NORMAL": logging.INFO, "QUIET": logging.WARNING, "SILENT": logging.CRITICAL}


def main(argv: list[str] | None = None) -> int:
    """Run the manager; returns its exit status."""
    parser = argparse.ArgumentParser(prog="jupyter_queueserver.manager", allow_abbrev=False)
    parser.add_argument("--settings", required=True)
    parser.add_argument("--again", action="store_true", help="it replaces a manager that was not ended on purpose")
    options = parser.parse_args(argv)
    try:
        settings = read_settings(options.settings)
    except SettingsError as err:
        print(err, file=sys.stderr)
        return REFUSED
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=_LEVELS[settings.log_level], handlers=[handler])
    _tame_garbage_collection()
    make_room()
    return asyncio.run(_run(settings, again=options.again))


def _tame_garbage_collection() -> None:
    """Keep collections short: a full one over a queue of ten thousand items would hold every client for some 50 ms.

    What the imports made is never looked at again; of the rest, little is garbage in cycles, so it may wait longer.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 100)


async def _run(settings: Settings, *, again: bool) -> int:
    try:
        faultpoints.activate(settings.instance)
        store = faultpoints.watched(_store(settings, again=again))
        service = Service(settings, store, again=again)
        return await service.run()
    except (QueueServerError, OSError) as err:
        return _refuse(settings, f"{err.msg} {err.hint}" if isinstance(err, ServiceError) else str(err))


def _store(settings: Settings, *, again: bool) -> Store:
    redis = RedisOptions(
        prefix=settings.redis_name_prefix,
        password=settings.redis_password,
        take_over=settings.take_over and not again,  # a wish of the user's own start, not of the lives after it
    )
    return open_store(settings.store, settings.instance.store, settings.instance.lease, redis)


def _refuse(settings: Settings, reason: str) -> int:
    """Say why this manager cannot start, where the watchdog and people read it."""
    logging.getLogger(__name__).critical("The manager cannot start: %s", reason)
    heartbeat = Heartbeat(settings.instance, revive=False)
    heartbeat.failed(reason)
    heartbeat.close()
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())
