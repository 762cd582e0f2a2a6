"""A real manager whose worker is played, so that nothing that it is sent is ever run: for ``--manager-program``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))  # which Python leaves out, as the manager is started

from actor import launcher
from played_lists import DEVICES, PLANS

from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.manager.__main__ import main

if __name__ == "__main__":
    WorkerLink.launch = launcher(PLANS, DEVICES)  # type: ignore[method-assign]
    sys.exit(main())
