"""A Jupyter server with the extension, in the test's own loop, attached to a fake manager."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_manager import FakeManager
from pytest_jupyter.jupyter_server import *  # noqa: F403 - fixtures and hooks
from tornado.httpclient import HTTPResponse

from jupyter_queueserver.gateway.extension import QueueServerExtension
from jupyter_queueserver.instance import Instance

Fetch = Callable[..., Coroutine[Any, Any, HTTPResponse]]


@pytest.fixture
def instance() -> Iterator[Instance]:
    """An instance with short paths."""
    folder = Path(tempfile.mkdtemp(prefix="jqs-test-", dir="/tmp"))
    found = Instance(folder / "data")
    yield found
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(found.sockets, ignore_errors=True)


@pytest.fixture
def manager(instance: Instance, jp_asyncio_loop: Any) -> Iterator[FakeManager]:
    """The fake manager, running."""
    fake = FakeManager(instance)
    jp_asyncio_loop.run_until_complete(fake.start())
    yield fake
    jp_asyncio_loop.run_until_complete(fake.stop())


@pytest.fixture
def extra_config() -> dict[str, Any]:
    """What a test adds to the server's configuration."""
    return {}


@pytest.fixture
def jp_server_config(manager: FakeManager, extra_config: dict[str, Any]) -> dict[str, Any]:
    config = {
        "ServerApp": {
            "jpserver_extensions": {"jupyter_queueserver": True, "jupyter_server_terminals": False},
            "allow_unauthenticated_access": False,
            "reraise_server_extension_failures": True,
        },
        "QueueServerExtension": {
            "address": manager.instance.control_address,
            "events_address": manager.instance.events_address,
        },
    }
    for section, values in extra_config.items():
        config.setdefault(section, {}).update(values)
    return config


@pytest.fixture
def jp_serverapp(jp_server_config: Any, jp_argv: Any, jp_configurable_serverapp: Any, jp_asyncio_loop: Any) -> Any:
    """The server with its extensions started, which pytest-jupyter leaves out."""
    app = jp_configurable_serverapp(config=jp_server_config, argv=jp_argv)
    jp_asyncio_loop.run_until_complete(app.extension_manager.start_all_extensions())
    return app


@pytest.fixture
def extension(jp_serverapp: Any) -> QueueServerExtension:
    """The extension inside the server."""
    return jp_serverapp.extension_manager.extension_points["jupyter_queueserver"].app


@pytest.fixture
def api(jp_fetch: Any) -> Fetch:
    """``await api("GET", "/status", {...})``: any verb with a body; refusals are returned, not raised."""

    def fetch(verb: str, path: str, body: Any = None, **options: Any) -> Any:
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        options = {"method": verb, "body": body, "allow_nonstandard_methods": True, "raise_error": False} | options
        if body is not None:
            options["headers"] = {"Content-Type": "application/json"} | options.get("headers", {})
        return jp_fetch("queueserver", "api", *path.strip("/").split("/"), **options)

    return fetch
