"""Requests that name the environment they are meant for: who holds an old one must not command its successor."""

from __future__ import annotations

from typing import Any

from ..decision import Step
from ..errors import RequestError, StateError


def require_environment(step: Step, environment_id: Any) -> None:
    """Raise unless this is the environment that is there, or none is named (None).

    Codes: ``wrong_type``; ``other_environment`` if it is another one, or closed.
    """
    if environment_id is None:
        return
    if not isinstance(environment_id, str):
        raise RequestError(
            f"The environment must be named by its id, a text: environment_id = {environment_id!r}",
            code="wrong_type",
            hint="Take it from the key environment_id of the status, or leave it out.",
            path="environment_id",
        )
    known = step.state.environment
    if known.state != "closed" and known.environment_id == environment_id:
        return
    there = "none is open" if known.state == "closed" else f"the present one is '{known.environment_id}'"
    raise StateError(
        f"Environment '{environment_id}' does not exist any more: {there}.",
        code="other_environment",
        hint="Nothing was changed. Look at the status, and repeat the request with its environment_id if it is still meant.",
        path="environment_id",
    )
