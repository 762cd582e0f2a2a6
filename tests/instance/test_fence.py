"""The fence that is kept beside the store only rises."""

from __future__ import annotations

import stat
from pathlib import Path

from jupyter_queueserver.instance import Instance
from jupyter_queueserver.instance.fence import keep_fence, read_fence


def test_it_only_rises(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    assert read_fence(instance) == 0
    for fence, kept in ((3, 3), (2, 3), (7, 7)):
        keep_fence(instance, fence)
        assert read_fence(instance) == kept
    assert stat.S_IMODE(instance.fence_file.stat().st_mode) == 0o600


def test_a_file_that_is_none_counts_as_nothing(tmp_path: Path) -> None:
    instance = Instance(tmp_path)
    for text in (b"", b"many", b"-5", b"\xff\xfe"):
        instance.fence_file.write_bytes(text)
        assert read_fence(instance) == 0
    keep_fence(instance, 2)
    assert read_fence(instance) == 2
