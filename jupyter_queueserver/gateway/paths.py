"""From plain paths such as ``/queueserver/api/status`` to patterns that also take doubled slashes and slashes at the end.

Existing clients make such paths by joining; a redirect instead would be an error to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

#: Below the base URL of the Jupyter server.
PREFIX = "/queueserver"
API_PREFIX = f"{PREFIX}/api"

#: Path, handler, arguments of the handler.
Route = tuple[str, type[Any], dict[str, Any]]


def as_pattern(path: str) -> str:
    """Return the pattern of a path; ``{name}`` stands for one part, ``/*`` at the end for whatever follows."""
    stem = path.removesuffix("/*")
    parts = [r"([^/]+)" if part.startswith("{") else re.escape(part) for part in stem.split("/") if part]
    # The group keeps the slashes in front: the server joins base URL and pattern and strips both.
    end = "(?:/.*)?" if stem != path else "/*" if parts else ""
    return f"/(?:/*){'/+'.join(parts)}{end}"


def as_patterns(routes: Iterable[Route]) -> list[Route]:
    """Return the routes with patterns instead of paths."""
    return [(as_pattern(path), handler, given) for path, handler, given in routes]
