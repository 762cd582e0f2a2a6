"""The manager's word to the watchdog about console text: at once, but a flood does not crowd out the rest."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_queueserver.instance import Instance
from jupyter_queueserver.manager.beat import Beat
from jupyter_queueserver.manager.bell import Bell
from jupyter_queueserver.manager.heartbeat import Heartbeat


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    with tempfile.TemporaryDirectory(prefix="jqs-test-") as short:
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield Instance(Path(short) / "data").prepare()


async def heard(bell: Bell) -> list[Beat]:
    """What is heard next, waited for."""
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(bell.fileno(), reached.set)
    try:
        async with asyncio.timeout(10):
            await reached.wait()
    finally:
        loop.remove_reader(bell.fileno())
    return bell.hear()


def test_flood_becomes_few_words_and_nothing_is_skipped(instance: Instance) -> None:
    async def main() -> None:
        bell = Bell(instance)
        heart = Heartbeat(instance, revive=False)
        for offset in range(0, 1000, 10):
            heart.console("/a", offset)
        first = await heard(bell)
        assert [(beat.kind, beat.text, beat.offset) for beat in first] == [("console", "/a", 0)]
        second = await heard(bell)
        assert [(beat.text, beat.offset) for beat in second] == [("/a", 10)], "the first that was not told yet"
        heart.console("/a", 2000)
        heart.console("/b", 0)  # another environment
        heart.close()  # last words are not kept back
        assert [(beat.text, beat.offset) for beat in bell.hear()] == [("/b", 0)]
        bell.close()

    asyncio.run(main())
