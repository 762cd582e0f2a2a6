"""The OpenAPI document describes every route that follows from the registry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from jupyter_queueserver.api import Call, methods, refuse
from jupyter_queueserver.api.annotations import annotation_schema
from jupyter_queueserver.api.http_form import FURTHER_ROUTES, NOT_SERVED
from jupyter_queueserver.api.http_routes import OPERATIONS
from jupyter_queueserver.api.openapi import openapi, reply_schema
from jupyter_queueserver.core import codec
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.errors import RequestError
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import State
from jupyter_queueserver.core.status import status

DOCUMENT = openapi("1.2.3", "/user/ann/queueserver/api")


def _operation(name: str) -> dict[str, Any]:
    method = methods()[name]
    return DOCUMENT["paths"][method.path][method.verb.lower()]


def test_every_method_has_its_route_and_no_two_the_same() -> None:
    operations = [op for path in DOCUMENT["paths"].values() for op in path.values()]
    further = [f"{name}_{path.rpartition('/')[2] or 'root'}" for path, (name, _) in FURTHER_ROUTES.items()]
    assert sorted(op["operationId"] for op in operations) == sorted({*methods()} - NOT_SERVED | {*further} | {*OPERATIONS})
    assert DOCUMENT["info"]["version"] == "1.2.3"
    assert DOCUMENT["servers"] == [{"url": "/user/ann/queueserver/api"}]


def test_it_is_plain_json_and_its_references_lead_somewhere() -> None:
    text = json.dumps(DOCUMENT, allow_nan=False)
    for part in text.split('"$ref": "')[1:]:
        found: Any = DOCUMENT
        for key in part.split('"')[0].removeprefix("#/").split("/"):
            found = found[key]
        assert found


def test_it_is_a_valid_document() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()  # type: ignore[arg-type]


def test_the_status_is_described_whole() -> None:
    shown = status(
        State(catalogue=Catalogue({}, {}, Permissions.default())), epoch="e", time_text="", version="1", kernel="shown"
    )
    schema = DOCUMENT["components"]["schemas"]["Status"]
    assert set(schema["properties"]) == set(shown)
    Draft202012Validator(schema).validate(shown)


def test_parameters_are_the_body_without_the_identity() -> None:
    schema = _operation("queue_item_add")["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["item"]
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == ["item", "pos", "before_uid", "after_uid", "negative_pos", "lock_key", "request_id"]
    assert schema["properties"]["pos"]["type"] == ["integer", "string", "null"]
    option = _operation("re_pause")["requestBody"]["content"]["application/json"]["schema"]["properties"]["option"]
    assert option["enum"] == ["deferred", "immediate"]
    assert option["default"] == "deferred"


def test_replies_name_their_keys_and_the_error() -> None:
    reply = _operation("queue_get")["responses"]["200"]["content"]["application/json"]["schema"]
    assert reply["required"] == ["success", "msg", "items", "running_item", "plan_queue_uid"]
    assert reply["properties"]["error"] == {"$ref": "#/components/schemas/Error"}


def test_refusing_replies_are_as_described() -> None:
    for method in methods().values():
        if method.lenient:
            continue  # always answered
        call = Call(method, {})
        reply = refuse(call, RequestError("no", code="c", hint="h"), State(catalogue=Catalogue({}, {}, Permissions.default())))
        schema = reply_schema(method) | {"components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(json.loads(codec.to_json(reply)))


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        ("str", {"type": "string"}),
        ("int | None", {"type": ["integer", "null"]}),
        ("list[str]", {"type": "array", "items": {"type": "string"}}),
        ("dict[str, Any] | None", {"type": ["object", "null"]}),
        ("Literal['a'] | int", {"anyOf": [{"const": "a"}, {"type": "integer"}]}),
        ("int | Any", {}),
        ("Unheard.Of", {}),
    ],
)
def test_annotations_become_schemas(annotation: str, schema: dict[str, Any]) -> None:
    assert annotation_schema(annotation) == schema
