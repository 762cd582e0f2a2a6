"""From the settings of a manager to what is wished of its worker's kernel."""

from __future__ import annotations

from ..link.connection import copy_path
from ..link.kernel_options import CHANNELS, KernelOptions
from .settings import Settings


def kernel_options(settings: Settings, environment_id: str) -> KernelOptions:
    """Return the wishes; without ``use_ipython_kernel`` nobody is told of the kernel, and it stays private."""
    if not settings.use_ipython_kernel:
        return KernelOptions(matplotlib=settings.ipython_matplotlib)
    ports = {f"{channel}_port": getattr(settings, f"ipython_{channel}_port") for channel in CHANNELS}
    return KernelOptions(
        ip=settings.ipython_kernel_ip,
        connection_copy=copy_path(settings.ipython_connection_file, settings.ipython_connection_dir, environment_id),
        matplotlib=settings.ipython_matplotlib,
        **ports,
    )
