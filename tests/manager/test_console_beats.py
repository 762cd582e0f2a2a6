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
from jupyter_queueserver.manager.duty import take_duty
from jupyter_queueserver.manager.heartbeat import Heartbeat
from jupyter_queueserver.manager.options import parse_options
from jupyter_queueserver.manager.supervised import log_path
from jupyter_queueserver.manager.watchdog import PIECES, Watchdog


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


def test_the_next_watchdog_hears_what_nobody_could_hear(instance: Instance) -> None:
    async def main() -> None:
        heart = Heartbeat(instance, revive=False, interval=0.01)
        heart.console("/a", 5)  # before the bell is there
        bell = Bell(instance)
        heart.console("/a", 20)
        assert [(beat.text, beat.offset) for beat in await heard(bell)] == [("/a", 5)]
        heart.close()
        assert bell.hear() == [], "once is enough"
        bell.close()

    asyncio.run(main())


def test_much_text_is_shown_to_its_end_before_that_of_another_environment(instance: Instance) -> None:
    text = "much text\n" * (3 * PIECES << 16 >> 3)  # more than is shown in two turns
    first, second = instance.data_dir / "first", instance.data_dir / "second"
    first.write_text(text)
    second.write_text("the next one\n")
    shown: list[str] = []
    settings = parse_options(["--data-dir", str(instance.data_dir)], {}).settings
    assert settings is not None
    watchdog = Watchdog(settings, take_duty(instance), say=print, show=shown.append)
    watchdog._follow_console(first, 0)
    watchdog._follow_console(second, 0)
    watchdog._show_log()
    assert watchdog._more_to_show
    while watchdog._more_to_show:
        watchdog._show_log()
    assert "".join(shown) == text + "the next one\n"
    watchdog._bell.close()
    watchdog._wakeup.close()
    watchdog._wakeup_end.close()
    watchdog._duty.release()


def test_a_line_of_the_log_does_not_get_into_a_line_of_the_console(instance: Instance) -> None:
    console = instance.data_dir / "console"
    shown: list[str] = []
    settings = parse_options(["--data-dir", str(instance.data_dir)], {}).settings
    assert settings is not None
    watchdog = Watchdog(settings, take_duty(instance), say=print, show=shown.append)
    log = log_path(settings)
    for path, text in ((console, "half a "), (console, "line"), (log, "INFO one\n"), (log, "INFO two\n"), (console, "\nnext\n")):
        with path.open("a") as file:
            file.write(text)
        watchdog._follow_console(console, 0)
        watchdog._show_log()
    assert "".join(shown) == "half a line\nINFO one\nINFO two\n\nnext\n"
    watchdog._bell.close()
    watchdog._wakeup.close()
    watchdog._wakeup_end.close()
    watchdog._duty.release()
