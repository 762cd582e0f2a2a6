"""What users' exceptions say, as text: nothing here may raise, whatever the exception is."""

from __future__ import annotations

import logging
import traceback

from .loader import own_frames_cut
from .tracebacks import traceback_text

log = logging.getLogger(__name__)


def text_of(err: BaseException) -> str:
    """What an exception says; its type if it says nothing or cannot even be asked."""
    try:
        return str(err) or repr(err)
    except Exception:  # noqa: BLE001 - users' code; what it raises here says nothing about its work
        return f"{type(err).__name__} (whose text cannot be made)"


def traceback_of(err: BaseException, *own: str) -> str:
    """The folded Python traceback (`traceback_text`), without its first frames as far as they belong to the files ``own``."""
    try:
        return traceback_text(err, *own)
    except Exception:  # users' exceptions may be anything; the plain form asks less of them
        log.exception("the traceback cannot be folded")
        return "".join(traceback.format_exception(type(err), err, own_frames_cut(err.__traceback__, *own)))


def show(text: str) -> None:
    """Print for whoever reads the console; a closed or replaced `sys.stdout` must not change how something ends."""
    try:
        print(text)
    except Exception:
        log.exception("the console cannot be written")
