"""The command `qserver`: words to a method of the registry, its reply to text and an exit status.

It knows the manager through the client only.
"""

from .program import main, read_command

__all__ = ["main", "read_command"]
