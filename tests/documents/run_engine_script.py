"""A worker in small: a real RunEngine whose only subscriber is the journal. Run by the tests as a process of its own.

It makes two runs, prints their uids, then begins a third of 50 points and kills itself (SIGKILL) after the 20th.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # saves seconds of import

import bluesky.plans as bp  # noqa: E402 - after the line above
import numpy as np  # noqa: E402
from bluesky import RunEngine  # noqa: E402
from ophyd.sim import SynSignal, det, motor  # noqa: E402

from jupyter_queueserver.documents.journal import JournalWriter  # noqa: E402


def main(data_dir: Path, socket_dir: Path, environment_id: str) -> None:
    writer = JournalWriter(data_dir / "journal", environment_id, bell=socket_dir / "relay.bell")
    engine = RunEngine({})
    engine.subscribe(writer.append)
    image = SynSignal(name="image", func=lambda: np.arange(32 * 24, dtype="float64").reshape(32, 24))
    uids = [*engine(bp.scan([det], motor, 0, 1, 11), sample="Cu"), *engine(bp.count([image], num=3))]

    def die(name: str, doc: dict[str, Any]) -> None:
        if name == "start":
            sys.stdout.write("\n".join([*uids, doc["uid"]]) + "\n")
            sys.stdout.flush()
        elif name == "event" and doc["seq_num"] == 20:
            os.kill(os.getpid(), signal.SIGKILL)

    engine.subscribe(die)
    engine(bp.scan([det], motor, 0, 1, 50))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
