"""An environment whose worker cannot even be launched is closed, with the reason."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.rules.environment import open_environment
from jupyter_queueserver.core.state import State
from jupyter_queueserver.instance import Instance, identity_of
from jupyter_queueserver.link.environment import read_environment
from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.manager.environment import Environment
from jupyter_queueserver.manager.settings import Settings
from jupyter_queueserver.manager.writer import Writer
from jupyter_queueserver.storage import Owner, open_store


class Nobody:
    """Listens to the changes."""

    def publish(self, *_: object) -> None:
        """Nothing follows."""


@pytest.mark.parametrize("fault", [OSError("no process left"), ValueError("a setting that does not fit")])
def test_a_launch_that_fails_closes_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    async def launch(*_: object, **__: object) -> WorkerLink:
        raise fault

    async def scenario() -> State:
        instance = Instance(tmp_path / "data").prepare_data()
        settings = Settings(data_dir=str(instance.data_dir), startup=str(tmp_path), user_group_permissions="")
        store = open_store("memory", instance.store, instance.lease)
        store.acquire(Owner(host="here", identity=identity_of(), address="", since=0.0))
        environment = Environment(
            instance, settings, 1, on_console=lambda: None, on_opened=lambda: None, on_replaced=lambda: None
        )
        state = State(catalogue=Catalogue({}, {}, Permissions.default()))
        writer = Writer(store, state, Nobody(), environment.act, lambda: None)
        environment.connect(writer)
        writing = asyncio.create_task(writer.run())
        await writer.submit(open_environment)
        while writer.state.environment.state != "closed":  # noqa: ASYNC110 - each turn lets the others work
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await environment.detach()
        writer.close()
        assert read_environment(instance) is None
        return writer.state

    monkeypatch.setattr(WorkerLink, "launch", launch)
    failure = asyncio.run(asyncio.wait_for(scenario(), 10)).environment.failure
    assert failure is not None
    assert failure.msg == f"The worker could not be started: {fault}"
