"""What a dead worker's ledger proves: only a whole one without the line that the item was taken proves anything."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from jupyter_queueserver.instance import identity_of
from jupyter_queueserver.link.accepted import LedgerLine, proves_never_taken
from jupyter_queueserver.link.launch import IDENTITY_FILE, is_of_this_boot


def lines(*fates: str) -> bytes:
    return b"".join(msgspec.json.encode(LedgerLine("a", fate, 1)) + b"\n" for fate in fates)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "proof"),
    [
        (b"", True),
        (lines("accepted"), True),
        (lines("accepted", "withdrawn"), True),
        (lines("accepted", "taken"), False),
        (lines("accepted", "taken", "ended"), False),
        (lines("accepted") + lines("taken")[:-1], False),
        (lines("accepted") + lines("taken")[:-8], False),
        (b"garbage\n" + lines("accepted"), False),
        (None, False),
    ],
    ids=["never-seen", "accepted", "withdrawn", "taken", "ended", "taken-without-end", "torn", "damaged", "missing"],
)
def test_proofs(tmp_path: Path, content: bytes | None, proof: bool) -> None:
    path = tmp_path / "accepted.log"
    if content is not None:
        path.write_bytes(content)
    assert proves_never_taken(path, "a") is proof


def test_after_a_restart_of_the_machine_nothing_is_proved(tmp_path: Path) -> None:
    assert not is_of_this_boot(tmp_path)
    identity = identity_of()
    (tmp_path / IDENTITY_FILE).write_bytes(msgspec.json.encode(identity))
    assert is_of_this_boot(tmp_path)
    (tmp_path / IDENTITY_FILE).write_bytes(msgspec.json.encode(msgspec.structs.replace(identity, boot_id="earlier")))
    assert not is_of_this_boot(tmp_path)
