"""How a chapter that failed is told: where in the scripts here, and what was raised; not the inside of the clients."""

import traceback
from pathlib import Path

HERE = Path(__file__).parent


def own_traceback(err):
    """Frames of the scripts here, and the exception."""
    frames = [frame for frame in traceback.extract_tb(err.__traceback__) if Path(frame.filename).parent == HERE]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(err)])
