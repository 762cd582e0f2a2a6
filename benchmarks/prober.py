"""``python -m benchmarks.prober ADDRESS``: asks for the status until its input ends, then prints how long each answer took.

A process of its own: that of the crowd is so busy with itself that it would measure its own delays.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from pathlib import Path

from .line import Line

#: Seconds from an answer to the next question.
_PAUSE = 0.02


def main() -> None:
    """Ask, and print a JSON list of seconds."""
    times: list[float] = []
    with Line(sys.argv[1]) as line:
        while not select.select([sys.stdin], [], [], _PAUSE)[0]:
            began = time.perf_counter()
            line.must("status")
            times.append(time.perf_counter() - began)
    print(json.dumps(times))


class Prober:
    """Such a process.

    Attributes
    ----------
    times
        Seconds that each answer took; filled by `stop`.
    """

    def __init__(self, address: str) -> None:
        self.times: list[float] = []
        self._address = address
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Begin to ask."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )

    def stop(self) -> None:
        """End it; raises if it has failed."""
        assert self._process is not None
        said, _ = self._process.communicate(timeout=130)
        if self._process.returncode != 0:
            raise RuntimeError("The status was refused, or there was no answer.")
        self.times = json.loads(said)


if __name__ == "__main__":
    main()
