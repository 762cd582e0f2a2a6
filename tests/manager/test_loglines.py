"""Following the logs ends when it is told to, whatever comes at that moment."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from jupyter_queueserver.manager.loglines import LogLines


@pytest.mark.parametrize("turns", range(5))
def test_a_line_at_the_end_does_not_keep_it(tmp_path: Path, turns: int) -> None:
    """A manager that logs something and then ends must not wait for ever for this."""

    async def main() -> None:
        following = asyncio.create_task(LogLines([tmp_path / "manager.log"], lambda text: None).run())
        await asyncio.sleep(0)
        logging.getLogger().warning("the last line")
        for _ in range(turns):
            await asyncio.sleep(0)
        following.cancel()
        await asyncio.wait({following}, timeout=30)
        assert following.cancelled()

    asyncio.run(main())
