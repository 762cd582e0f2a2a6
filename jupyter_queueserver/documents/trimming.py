"""Remove old segments of the journal, but only what every durable cursor on disk has left behind.

Called by the relay, which is the only process that may delete here.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from jupyter_queueserver.documents.reader import Position, Spot
from jupyter_queueserver.documents.segments import environments, segment_path, segments

__all__ = ["Retention", "trim"]

log = logging.getLogger(__name__)


class Retention(msgspec.Struct, frozen=True):
    """What is kept in any case: everything younger than *age* (seconds), and the newest *size* bytes."""

    age: float = 14 * 86400.0
    size: int = 2 << 30


def trim(
    journal_dir: Path,
    positions: Sequence[Position],
    reached: Position,
    ended: set[str],
    now: float,
    keep: Retention,
) -> list[Path]:
    """Delete segments that are old, beyond the size to keep and behind all *positions*; the paths that were deleted.

    Parameters
    ----------
    positions
        The saved cursors of all durable consumers.
    reached
        How far the tracker has read the journal.
    ended
        Environments that will not grow any more: of these the last segment and the folder may go too.
    now
        Seconds since the epoch.
    """
    found = [(env, number) for env in environments(journal_dir) for number in segments(journal_dir, env)]
    deleted: list[Path] = []
    kept_bytes = 0
    for env, number in sorted(found, key=lambda item: _age(journal_dir, item), reverse=True):
        path = segment_path(journal_dir, env, number)
        state = path.stat()
        kept_bytes += state.st_size
        last = segments(journal_dir, env)[-1] == number
        old = now - state.st_mtime > keep.age and kept_bytes > keep.size
        if old and (not last or env in ended) and _behind(env, number, last, reached, positions):
            deleted.append(path)
    for path in reversed(deleted):
        path.unlink(missing_ok=True)
        log.info("trimmed %s", path)
    for env in ended:
        if (journal_dir / env).is_dir() and not segments(journal_dir, env):
            shutil.rmtree(journal_dir / env)
    return deleted


def _age(journal_dir: Path, item: tuple[str, int]) -> tuple[float, str, int]:
    return (segment_path(journal_dir, *item).stat().st_mtime, *item)


def _behind(env: str, number: int, last: bool, reached: Position, positions: Sequence[Position]) -> bool:
    """Whether tracker and every cursor have passed the end of this segment (of the last one: stand at its end)."""
    end = reached.environments.get(env)
    return end is not None and all(
        _passed(position.environments.get(env), number, end if last else None) for position in [reached, *positions]
    )


def _passed(spot: Spot | None, number: int, end: Spot | None) -> bool:
    if spot is None:
        return False
    return spot.segment > number or (end is not None and spot.offset >= end.offset)
