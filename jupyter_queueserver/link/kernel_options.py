"""What is wished of the worker's kernel, as a value that is part of the environment's record.

Values only; `connection` makes addresses and files of them.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

CHANNELS = ("shell", "iopub", "stdin", "hb", "control")

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]

#: Backends as IPython names them, and as Matplotlib does.
_BACKENDS = {
    "inline": "module://matplotlib_inline.backend_inline",
    "widget": "module://ipympl.backend_nbagg",
    "ipympl": "module://ipympl.backend_nbagg",
    "qt": "qtagg",
    "qt5": "qt5agg",
    "qt6": "qtagg",
    "tk": "tkagg",
    "gtk3": "gtk3agg",
    "gtk4": "gtk4agg",
    "wx": "wxagg",
    "osx": "macosx",
}


class KernelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is wished of the kernel.

    Attributes
    ----------
    ip
        IPv4 address at which it listens by TCP, or ``auto`` for this machine's; None: private Unix sockets.
    shell_port, iopub_port, stdin_port, hb_port, control_port
        TCP ports; None: any free one.
    connection_copy
        Path of a copy of the connection file, there as long as the worker lives; None: no copy.
    matplotlib
        Backend, as IPython or Matplotlib names it; None: that of the environment variables, else ``agg``.
    """

    ip: str | None = None
    shell_port: Port | None = None
    iopub_port: Port | None = None
    stdin_port: Port | None = None
    hb_port: Port | None = None
    control_port: Port | None = None
    connection_copy: str | None = None
    matplotlib: str | None = None

    @property
    def backend(self) -> str | None:
        """Value of ``MPLBACKEND``; None: it is left as it is."""
        return None if self.matplotlib is None else _BACKENDS.get(self.matplotlib, self.matplotlib)
