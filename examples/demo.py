"""A queue of real Bluesky plans, from an empty folder to data read back: ``make demo``.

Starts a Jupyter server with the queue server and talks to it as any user's program would, over HTTP and a websocket; the data is
read back through Databroker.  Ends with status 0 only if everything went well and nothing is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, NoReturn

from demo_report import Reporter, history_table
from demo_server import DemoError, DemoServer
from tornado.websocket import WebSocketClientConnection

#: Seconds for everything.
TIME_LIMIT = 120.0
#: Seconds that the last points may take until they are shown.
DISPLAY_LIMIT = 20.0
ROWS_EXPECTED = 11

PLANS: list[dict[str, Any]] = [
    {"name": "count", "args": [["det1", "det2"]], "kwargs": {"num": 5, "delay": 0.1}},
    {"name": "grid_scan", "args": [["det1"], "motor1", -1, 1, 5, "motor2", -1, 1, 3]},
    {"name": "sweep_1d", "kwargs": {"detectors": ["det"], "axis": "motor", "span": 4, "resolution": "coarse"}},
    {"name": "scan", "args": [["det"], "motor", -2, 2, ROWS_EXPECTED]},
]


def main() -> int:
    """Run the demo; returns its exit status."""
    parser = argparse.ArgumentParser(description="Run a queue of real plans and read its data back.")
    parser.add_argument("--data-dir", type=Path, help="data directory to use and keep (default: a temporary one)")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="where the picture goes")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="jqs-demo-"))
    server = DemoServer(folder, (options.data_dir or folder / "data").resolve())
    try:
        last_line = asyncio.run(_limited(server, options.output))
    except KeyboardInterrupt:
        _interrupted(server)
    except (DemoError, TimeoutError, OSError, KeyError) as err:
        server.kill()
        text = f"demo failed: {err or type(err).__name__}\n{server.log_tail()}\nThe files are in {folder}."
        print(text, file=sys.stderr, flush=True)
        os._exit(1)  # a thread may still wait for data that never comes
    server.clean()
    shutil.rmtree(folder, ignore_errors=True)
    print(last_line, flush=True)
    return 0


def _interrupted(server: DemoServer) -> NoReturn:
    """End everything at once and leave nothing: a second Ctrl-C, and a thread that waits for data, are not waited for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("\ndemo interrupted", file=sys.stderr, flush=True)
    left = server.remove()
    if left:
        print("something is left: " + "; ".join(left), file=sys.stderr, flush=True)
    os._exit(130)


async def _limited(server: DemoServer, output: Path) -> str:
    try:
        async with asyncio.timeout(TIME_LIMIT):
            return await run(server, output)
    except asyncio.CancelledError:  # by Ctrl-C; here, because the end of the loop would wait for threads
        _interrupted(server)
    except TimeoutError as err:
        raise DemoError(f"the demo took longer than {TIME_LIMIT:g} s") from err


async def run(server: DemoServer, output: Path) -> str:
    """Do everything; returns the last line.  Raises `DemoError`."""
    report = Reporter()
    await server.start()
    await server.wait_ready()
    report.say(f"server    {server.url} (data directory {server.data_dir})")
    before = len((await server.call("GET", "/history/get"))["items"])
    stream = await server.events()
    listener = asyncio.create_task(_listen(stream, report))
    work = asyncio.create_task(_run_queue(server, report))
    try:
        done, _ = await asyncio.wait([listener, work], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if work not in done:
            raise DemoError("the event stream was closed")
    finally:
        for task in (listener, work):
            task.cancel()
        stream.close()
    history = (await server.call("GET", "/history/get"))["items"][before:]
    print(f"\n{history_table(history)}\n", flush=True)
    completed = sum(item["result"]["exit_status"] == "completed" for item in history)
    if completed != len(PLANS):
        reasons = "; ".join(f"{item['name']}: {item['result']['msg']}" for item in history if item["result"]["msg"])
        raise DemoError(f"{completed} completed, {len(history) - completed} failed: {reasons}")
    run_uid = history[-1]["result"]["run_uids"][-1]
    rows = await asyncio.to_thread(read_back, server.data_dir, run_uid, output)
    report.say(f"picture   {output / 'scan.png'}")
    await _stop(server, report)
    line = f"demo: {completed} completed, {len(history) - completed} failed, {rows} rows read back"
    if rows != ROWS_EXPECTED:
        raise DemoError(line)
    return line


async def _listen(stream: WebSocketClientConnection, report: Reporter) -> None:
    while (message := await stream.read_message()) is not None:
        report.take(str(message))


async def _run_queue(server: DemoServer, report: Reporter) -> None:
    await report.wait_until(lambda: bool(report.status))  # the first message has come: nothing is missed from now on
    await server.call("POST", "/environment/open")
    await report.wait_until(lambda: report.environment in ("open", "closed"))
    if report.environment != "open":
        raise DemoError("the environment could not be opened")
    for plan in PLANS:
        await server.call("POST", "/queue/item/add", item={"item_type": "plan", **plan})
    await server.call("POST", "/queue/start")
    await report.wait_until(lambda: bool(report.ended) and report.status["manager_state"] == "idle")
    runs = {uid for item in report.ended for uid in item["result"]["run_uids"]}
    with contextlib.suppress(TimeoutError):  # documents for display come when the machine has time for them
        async with asyncio.timeout(DISPLAY_LIMIT):
            await report.wait_until(lambda: runs <= report.stopped)


def read_back(data_dir: Path, run_uid: str, output: Path) -> int:
    """Read a run through Databroker, print and draw it; returns the number of its rows."""
    from jupyter_queueserver.documents.catalog import NotDelivered, databroker_catalog, wait_delivered

    try:
        wait_delivered(data_dir, run_uid, timeout=180.0)
    except NotDelivered as err:
        raise DemoError(str(err)) from err
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages, about each other
        table = databroker_catalog(data_dir)[run_uid].table()
    print(f"{table}\n", flush=True)
    _draw(table, run_uid, output)
    return len(table)


def _draw(table: Any, run_uid: str, output: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    output.mkdir(parents=True, exist_ok=True)
    figure, axes = pyplot.subplots()
    axes.plot(table["motor"], table["det"], marker="o")
    axes.set(xlabel="motor", ylabel="det", title=f"run {run_uid[:8]}")
    figure.savefig(output / "scan.png")
    pyplot.close(figure)


async def _stop(server: DemoServer, report: Reporter) -> None:
    """End everything and look whether something is left."""
    from jupyter_queueserver.documents.embedded import stop_server

    await server.stop()
    await asyncio.to_thread(stop_server, server.data_dir / "databroker")
    found = server.leftovers()
    for _ in range(50):  # processes that are told to end need a moment
        if not found:
            break
        await asyncio.sleep(0.1)
        found = server.leftovers()
    if found:
        raise DemoError("something is left: " + "; ".join(found))
    report.say("stopped   no process, port, socket file or lock is left")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
