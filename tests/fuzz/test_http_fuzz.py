"""Cases made by schemathesis from the OpenAPI document: no 5xx, and every answer is one that the document describes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
from fuzz_server import fuzz_server
from harness import is_process
from hypothesis import HealthCheck, given, seed, settings
from line_real import TOKEN, TalkServer
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from jupyter_queueserver.api.openapi import openapi

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Not called, and why.
EXCLUDED = {
    "manager_stop": "it ends the manager",
    "manager_kill": "it blocks the manager until the watchdog ends it",
    "stream_console_output": "it never ends",
    "console_output_socket": "a websocket",
    "status_socket": "a websocket",
    "info_socket": "a websocket",
    "events": "a websocket",
    "test_server_sleep": "it does nothing else than take time",
}
DOCUMENT = openapi("0", "/queueserver/api")


class Place(NamedTuple):
    """Where the interface is served, and by what."""

    base: str
    server: TalkServer
    manager: int
    session: requests.Session


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A Jupyter server in front of the manager."""
    with fuzz_server() as server, requests.Session() as session:
        base = f"http://{server.serve_http()}/queueserver/api"
        session.headers["Authorization"] = f"ApiKey {TOKEN}"
        yield Place(base, server, server.manager, session)


def operations() -> list[Any]:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    found = [result.ok() for result in schema.get_all_operations()]
    return [each for each in found if each.definition.raw["operationId"] not in EXCLUDED]


def name_of(operation: Any) -> str:
    return operation.definition.raw["operationId"]


def fuzz(place: Place, operation: Any, mode: GenerationMode, count: int) -> None:
    """Send so many cases of an operation."""

    @seed(3)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        case.call_and_validate(base_url=place.base, session=place.session, checks=CHECKS)

    send()


@pytest.mark.parametrize("operation", operations(), ids=name_of)
def test_operation(place: Place, operation: Any) -> None:
    fuzz(place, operation, GenerationMode.POSITIVE, 5)
    fuzz(place, operation, GenerationMode.NEGATIVE, 5)
