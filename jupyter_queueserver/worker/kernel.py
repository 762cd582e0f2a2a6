"""The IPython kernel that carries the worker: threads, channels and who may give it orders.

Requests of the manager are answered in the control thread; plans, cells and startup code run in the main thread, one at a time.
An accepted item needs no second message: the control thread rings the main thread's doorbell inside this process, so that
between accept and take there is nothing that could be lost with the manager.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import zmq
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from ipykernel.zmqshell import ZMQInteractiveShell
from tornado.ioloop import PeriodicCallback
from traitlets import Type

from ..core.reports import CellState
from ..instance import Instance
from ..link.environment import EnvironmentRecord
from ..link.messages import REPLY_TYPE, REQUEST_TYPE
from .console import ConsoleWatch
from .forks import parent_only, watch_forks
from .iopub import without_port
from .sockets import LOOK, KernelSockets
from .worker import Worker

log = logging.getLogger(__name__)

_REFUSED = "This kernel is the worker of a queue server and obeys its manager only. Close the environment instead."


class WorkerShell(ZMQInteractiveShell):
    """A shell that a cell cannot end: ``exit`` leaves the console, not the worker."""

    def ask_exit(self) -> None:
        """Tell the console that it may go."""
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": True})  # type: ignore[union-attr]


class WorkerKernel(IPythonKernel):
    """A kernel with one message type more, and without those that would disturb a plan."""

    shell_class = Type(WorkerShell)
    control_msg_types = [  # noqa: RUF012 - the attribute of the base class
        "kernel_info_request",
        "connect_request",
        "usage_request",
        "shutdown_request",
        "interrupt_request",
        REQUEST_TYPE,
    ]
    worker: Worker
    session: Any
    io_loop: Any

    @property
    def _supports_kernel_subshells(self) -> bool:
        """No: a subshell would run cells beside a plan."""
        return False

    async def queueserver_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """A request of the manager, in the control thread."""
        content = self.worker.desk.handle(parent["header"]["session"], parent["content"])
        self.session.send(stream, REPLY_TYPE, content, parent, ident)
        stream.flush(zmq.POLLOUT)

    async def shutdown_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Refused unless it comes from the manager: Restart and Shut down of a front end send it."""
        if self._from_manager(parent):
            self.worker.exit_code = 0
            await super().shutdown_request(stream, ident, parent)
        else:
            self._refuse("shutdown_reply", stream, ident, parent, restart=False)

    async def interrupt_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Refused unless it comes from the manager."""
        if self._from_manager(parent):
            await super().interrupt_request(stream, ident, parent)
        else:
            self._refuse("interrupt_reply", stream, ident, parent)

    async def do_execute(self, *args: Any, **kwargs: Any) -> Any:
        """A cell of an attached console; when its reply goes out, it holds the kernel no longer."""
        self._hold_cell(True)
        try:
            with parent_only:
                return await super().do_execute(*args, **kwargs)
        finally:
            self._hold_cell(False)

    def _hold_cell(self, running: bool) -> None:
        self.worker.desk.cell_running = running
        self.worker.report(CellState(time=time.time(), running=running))

    def ring_main(self) -> None:
        """Have `_serve` run in the main thread as soon as it is free; from any thread."""
        self.io_loop.add_callback(self._serve)

    async def open_environment(self) -> None:
        """Load the startup code; first thing in the main thread, cells wait."""
        async with self._main_asyncio_lock:
            self.worker.open()
        self._end_if_told()

    async def _serve(self) -> None:
        async with self._main_asyncio_lock:
            self.worker.serve()
        self._end_if_told()

    def _end_if_told(self) -> None:
        if self.worker.exit_code is not None:
            self.io_loop.stop()

    def _from_manager(self, parent: dict[str, Any]) -> bool:
        return self.worker.desk.is_manager(parent["header"].get("session", ""))

    def _refuse(self, reply: str, stream: Any, ident: Any, parent: dict[str, Any], **more: Any) -> None:
        content = {"status": "error", "ename": "NotTheManager", "evalue": _REFUSED, "traceback": [_REFUSED], **more}
        self.session.send(stream, reply, content, parent, ident)

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        """Front ends need not hear busy and idle for each of the manager's requests."""
        header = self._control_parent.get("header", {}) if channel == "control" else {}
        if header.get("msg_type") != REQUEST_TYPE:
            super()._publish_status(status, channel, parent)


class _NoShellThread:
    """Stands for the thread that this kernel does not have: cells run in the main thread."""

    parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class WorkerApp(IPKernelApp):
    """Starts the kernel.  Profile start-up files, extensions and subshells of ordinary kernels are left out."""

    kernel: WorkerKernel
    shell_channel_thread: Any
    record: EnvironmentRecord
    environment_file: Path

    def log_connection_info(self) -> None:
        """Nobody reads the hint that is printed otherwise."""
        self._ports = {name: getattr(self, f"{name}_port") for name in ("shell", "iopub", "stdin", "hb", "control")}

    def init_control(self, context: Any) -> None:
        """Without the subshell thread: a subshell would run cells beside a plan."""
        super().init_control(context)
        self.shell_channel_thread.io_loop.close()
        self.shell_channel_thread = None

    def init_iopub(self, context: Any) -> None:
        """As inherited, on the declared socket alone."""
        with without_port():
            super().init_iopub(context)

    def init_extensions(self) -> None:
        """None."""

    def init_code(self) -> None:
        """The startup code is loaded when the kernel's loop runs, so that the control channel answers meanwhile."""

    def start(self) -> None:
        """Run until the worker is told to end."""
        kernel, record = self.kernel, self.record
        kernel.io_loop = _main_loop()
        kernel.shell_channel_thread = _NoShellThread()  # asked for by cells with a top-level await
        shell: Any = kernel.shell
        kernel.worker = Worker(record, self.environment_file, shell.user_ns, shell.transform_cell, kernel.ring_main)
        watch_forks(self._loops, lambda: kernel.worker.run_engine)
        ConsoleWatch(record.console, kernel.worker.bell)
        kernel.io_loop.add_callback(kernel.open_environment)
        look = PeriodicCallback(kernel.worker.look_around, record.orphan_check_seconds * 1000)
        self.control_thread.io_loop.add_callback(look.start)
        sockets = KernelSockets(self, Instance(self.environment_file.parent), Path(record.connection_file), kernel.worker.moved)
        look_at_sockets = PeriodicCallback(sockets.look, LOOK * 1000)
        self.control_thread.io_loop.add_callback(look_at_sockets.start)
        super().start()
        while kernel.worker.exit_code is None:  # a cell has stopped the loop: that does not end a worker
            self.io_loop.start()

    def _loops(self) -> list[Any]:
        run_engine = self.kernel.worker.run_engine
        control: Any = self.control_thread.io_loop  # tornado's loops are asyncio's in disguise
        loops = [self.kernel.io_loop.asyncio_loop, control.asyncio_loop]
        return loops if run_engine is None else [*loops, getattr(run_engine, "loop", loops[0])]


def _main_loop() -> Any:
    from tornado.ioloop import IOLoop

    return IOLoop.current()
