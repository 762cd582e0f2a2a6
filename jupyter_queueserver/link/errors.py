"""What can go wrong between manager and worker, beyond the worker's own refusals (`core.errors.WorkerRefused`)."""

from __future__ import annotations

from ..core.errors import ServiceError


class WorkerUnreachable(ServiceError):
    """The worker did not answer in time; it may or may not have done what it was asked."""

    code = "worker_unreachable"
    hint = "The worker may be busy in code that holds Python's lock. Look at the console, wait, or destroy the environment."


class NotAdoptable(Exception):
    """The environment that is recorded cannot be taken over.

    Parameters
    ----------
    reason
        Sentence.
    alive
        Whether a process is (or may be) still there that could be the worker: then nothing may be concluded about its plan.
    """

    def __init__(self, reason: str, *, alive: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.alive = alive
