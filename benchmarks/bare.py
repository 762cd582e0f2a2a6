"""The baselines: startup code imported, plans run and paused without any server, and a 0MQ echo.

A plain script: it runs under any Python that has bluesky (also the old server's) and imports nothing of ours.
"""

from __future__ import annotations

import random
import runpy
import sys
import threading
import time
from pathlib import Path
from typing import Any


def load(directory: str) -> dict[str, Any]:
    """Run the startup files in one namespace, as a person would in a script."""
    namespace: dict[str, Any] = {}
    for path in sorted(Path(directory).glob("*.py")):
        namespace = runpy.run_path(str(path), init_globals=namespace)
    return namespace


def tell(*values: object) -> None:
    """Print one line for the parent, at once; the mark tells it from what bluesky prints."""
    print(">", *values, flush=True)


def plans(namespace: dict[str, Any], name: str, number: int) -> None:
    """For each line read: run ``RE(plan())`` that often and print the seconds for one."""
    run_engine = namespace["RE"]
    arguments = [[namespace["det"]]] if name == "count" else []
    for _ in range(20):
        run_engine(namespace[name](*arguments))
    tell("ready")
    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(number):
            run_engine(namespace[name](*arguments))
        tell((time.perf_counter() - began) / number)


def pauses(namespace: dict[str, Any], number: int) -> None:
    """Pause a plan again and again; print the seconds from each request to the return of the RunEngine's call."""
    run_engine = namespace["RE"]
    asked = [0.0]

    def ask() -> None:
        while run_engine.state != "running":
            time.sleep(0.001)
        time.sleep(random.uniform(0.2, 0.3))
        asked[0] = time.perf_counter()
        run_engine.request_pause(False)

    for index in range(number):
        threading.Thread(target=ask).start()
        try:
            if index:
                run_engine.resume()
            else:
                run_engine(namespace["checkpoints"]())
        except Exception as error:  # RunEngineInterrupted is how a pause is told
            if type(error).__name__ != "RunEngineInterrupted":
                raise
        tell(time.perf_counter() - asked[0])
    run_engine.abort()


def echo(address: str, size: int) -> None:
    """Answer every request with so many bytes."""
    import zmq

    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.bind(address)
        reply = b"x" * size
        tell("ready")
        while True:
            socket.recv()
            socket.send(reply)


def main(words: list[str]) -> None:
    """``import DIR``, ``import-light DIR``, ``plans DIR NAME NUMBER``, ``pauses DIR NUMBER`` or ``echo ADDRESS SIZE``."""
    if words[0] == "echo":
        echo(words[1], int(words[2]))
        return
    if words[0] == "import-light":
        sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # what the worker does, see `rows.opening`
    namespace = load(words[1])
    if words[0].startswith("import"):
        tell("ready")
    elif words[0] == "plans":
        plans(namespace, words[2], int(words[3]))
    else:
        pauses(namespace, int(words[2]))


if __name__ == "__main__":
    main(sys.argv[1:])
