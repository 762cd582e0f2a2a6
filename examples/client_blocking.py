"""Run three plans and print how each ended: the blocking client, for scripts and notebooks.

Usage: python client_blocking.py [DATA_DIR]

A manager must run (`start-re-manager` or `jupyter queueserver`).  Without DATA_DIR the manager of this user is meant.
"""

import sys

from jupyter_queueserver import Client
from jupyter_queueserver.instance import find_instance

PLANS = [
    {"item_type": "plan", "name": "count", "args": [["det"]], "kwargs": {"num": 3}},
    {"item_type": "plan", "name": "scan", "args": [["det"], "motor", -1, 1, 5]},
    {"item_type": "plan", "name": "quick"},
]


def main(data_dir: str | None = None) -> None:
    instance = find_instance(data_dir) if data_dir else None
    with Client(instance=instance) as client, client.mirror() as live:
        if not live.status["worker_environment_exists"]:
            client.environment_open()
            # A push ends the wait; nothing is asked again and again.
            live.wait_for(lambda now: now.status["manager_state"] == "idle", timeout=60)
            if failure := live.status["environment_failure"]:
                sys.exit(f"The environment was not opened: {failure['msg']}")
        added = {client.queue_item_add(plan)["item"]["item_uid"] for plan in PLANS}
        client.queue_start()
        live.wait_for(lambda now: now.status["manager_state"] == "idle", timeout=60)
        for item in live.state.history:
            if item.item_uid in added:
                result = item.fields["result"]
                print(f"{item.name}: {result['ending']}, runs {result['run_uids']}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
