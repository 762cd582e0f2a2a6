"""Where an instance lives on disk, how to reach it, and which process is which.

An instance is a data directory.  This room knows paths and process identities; it knows nothing of the queue.
"""

from .paths import Instance, check_private, find_instance, write_private
from .process import Identity, ProcessWatch, boot_id, identity_of, is_alive, is_stopped
from .runtime import Runtime, read_runtime, remove_runtime, write_runtime

__all__ = [
    "Identity",
    "Instance",
    "ProcessWatch",
    "Runtime",
    "boot_id",
    "check_private",
    "find_instance",
    "identity_of",
    "is_alive",
    "is_stopped",
    "read_runtime",
    "remove_runtime",
    "write_private",
    "write_runtime",
]
