"""Cases made by schemathesis from the OpenAPI document: no 5xx, and every answer is one that the document describes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests
import schemathesis
from fuzz_values import likely_values, values
from harness import is_process
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from line_real import TOKEN, TalkServer
from played_server import played_server
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
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
}
LIKELY = likely_values(values(st.floats(allow_nan=False, allow_infinity=False)))
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
    with played_server() as server, requests.Session() as session:
        base = f"http://{server.serve_http()}/queueserver/api"
        session.headers["Authorization"] = f"ApiKey {TOKEN}"
        yield Place(base, server, server.manager, session)


def operations() -> list[Any]:
    """All operations of the document that are called."""
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    schema = schemathesis.openapi.from_dict(DOCUMENT, config=config)
    found = [result.ok() for result in schema.get_all_operations()]
    assert set(EXCLUDED) <= set(map(name_of, found))
    return [each for each in found if name_of(each) not in EXCLUDED]


def name_of(operation: Any) -> str:
    """The stable name of an operation."""
    return operation.definition.raw["operationId"]


@st.composite
def right_cases(draw: st.DrawFn, operation: Any) -> Any:
    """Cases of the right form, some of them with values that mean something."""
    case = draw(operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    if isinstance(case.body, dict):
        for name in case.body:
            if name in LIKELY and draw(st.booleans()):
                case.body[name] = draw(LIKELY[name])
    return case


def can_be_wrong(operation: Any) -> bool:
    """Whether there is anything in a request that could have a wrong form."""
    body = operation.definition.raw.get("requestBody")
    return body is not None and "application/json" in body["content"]


def is_number(body: Any, name: str) -> bool:
    """Whether that member of a body is a number."""
    return isinstance(body, dict) and type(body.get(name)) in (int, float)


def fuzz(place: Place, operation: Any, count: int, number: int = 1) -> None:
    """Send so many cases of an operation in the right form, and as many in a wrong one."""
    strategies = [right_cases(operation)]
    if can_be_wrong(operation):
        strategies.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    for strategy in strategies:

        @seed(number)
        @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(strategy)
        def send(case: Any) -> None:
            if is_number(case.body, "time"):
                case.body["time"] = min(case.body["time"], 0.01)  # seconds that the server sleeps
            case.call_and_validate(base_url=place.base, session=place.session, checks=CHECKS)

        send()


@pytest.mark.parametrize("operation", operations(), ids=name_of)
def test_operation(place: Place, operation: Any) -> None:
    fuzz(place, operation, 6)


def test_the_served_document_is_the_one_that_is_used(place: Place) -> None:
    served = place.session.get(f"{place.base}/openapi.json", timeout=30).json()
    assert served["paths"] == json.loads(json.dumps(DOCUMENT["paths"]))


def test_the_manager_lives(place: Place) -> None:
    assert place.server.manager == place.manager
    assert is_process(place.manager)
    assert place.session.get(f"{place.base}/status", timeout=30).json()["store_failure"] is None


def test_without_the_key(place: Place) -> None:
    """Whatever a stranger sends, the answer is one of the document, too."""
    with requests.Session() as stranger:
        for operation in operations():
            fuzz(place._replace(session=stranger), operation, 1)
    assert place.session.get(f"{place.base}/status", timeout=30).json()["items_in_queue"] >= 0


def test_the_checks_find_something(place: Place) -> None:
    """A document that says something else than the server is found out."""
    wrong = json.loads(json.dumps(DOCUMENT))
    wrong["paths"]["/status"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "array"}
    operation = schemathesis.openapi.from_dict(wrong)["/status"]["GET"]
    with pytest.raises(FailureGroup, match="violates schema"):
        operation.Case(body={}, media_type="application/json").call_and_validate(
            base_url=place.base, session=place.session, checks=CHECKS
        )


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_at_length(place: Place) -> None:
    """Some thousand cases, round after round, so that every operation meets what the others have left."""
    for number in range(2, 6):
        place.session.post(f"{place.base}/environment/open", json={}, timeout=30)
        for operation in operations():
            fuzz(place, operation, 15, number)
    assert place.server.manager == place.manager
