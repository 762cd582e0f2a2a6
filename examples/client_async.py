"""Add a plan that is wrong, read the refusal, mend it, run it: the asynchronous client.

Usage: python client_async.py [DATA_DIR]

A manager must run with an open environment.  Without DATA_DIR the manager of this user is meant.
"""

import asyncio
import sys

from jupyter_queueserver import AsyncClient
from jupyter_queueserver.client import RequestFailed
from jupyter_queueserver.instance import find_instance


async def main(data_dir: str | None = None) -> None:
    instance = find_instance(data_dir) if data_dir else None
    async with AsyncClient(instance=instance) as client, client.mirror() as live:
        plan = {"item_type": "plan", "name": "count", "args": [["det"]], "kwargs": {"nums": 3}}
        try:
            await client.queue_item_add(plan)
        except RequestFailed as refusal:
            print(f"refused: {refusal.code} at {refusal.path}")
            plan["kwargs"] = {"num": 3}
        item = (await client.queue_item_add(plan))["item"]
        await client.queue_start()
        await live.wait_for(lambda now: item["item_uid"] in now.state.history, timeout=60)
        ended = live.state.history.get(item["item_uid"])
        assert ended is not None
        print(f"{ended.name}: {ended.fields['result']['ending']}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:2]))
