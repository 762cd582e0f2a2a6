"""The whole conversation of one form of the API; prints what happened as one line of JSON.

Command line: one JSON object, see `scene.Scene.words`; ``chapters`` may name the only ones to run.
"""

import json
import sys

import chapters_core
import chapters_guard
import chapters_queue
import chapters_run
from recorder import drive
from scene import Scene, reset
from telling import own_traceback


async def converse(scene):
    """Run the chapters one after another; a chapter that fails does not keep the next one from running."""
    scene.rm = await scene.make()
    chapters = [*chapters_queue.CHAPTERS, *chapters_run.CHAPTERS, *chapters_guard.FIRST]
    chapters += [*(chapters_guard.HTTP if scene.is_http else ()), *chapters_guard.LAST]
    wanted = scene.words.get("chapters") or [chapter.__name__ for chapter in chapters]
    report = {}
    for chapter in [*chapters_core.CHAPTERS, *chapters]:
        if chapter.__name__ not in wanted:
            continue
        report[chapter.__name__] = await tell(reset, scene) or await tell(chapter, scene)
        sys.stderr.write(f"{chapter.__name__}: {report[chapter.__name__] or 'ok'}\n")
    return {"chapters": report, "unused": scene.rm.unused()}


async def tell(chapter, scene):
    """Run one chapter; returns its traceback, or nothing."""
    try:
        await chapter(scene)
    except Exception as err:  # noqa: BLE001 - whatever goes wrong in a client is what the report is about
        return own_traceback(err)
    return ""


if __name__ == "__main__":
    scene = Scene(json.loads(sys.argv[1]))
    print(json.dumps(drive(converse(scene), scene.style)))
