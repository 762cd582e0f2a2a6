"""The OpenAPI 3.1 document of the HTTP interface, from the registry and the declared further routes.

Pure: makes a dictionary, reads nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from . import http_form as form
from .annotations import annotation_schema
from .http_routes import OPERATIONS, Operation
from .openapi_parts import FAILURES, components
from .registry import REQUEST_ID, Key, Method, Parameter, Sent, methods

#: Given by the key, or chosen by the page; any of them does.
_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"bearer": []}, {"keyInQuery": []}, {"tokenInQuery": []}, {"cookie": []}]
_ALWAYS = (400, 401, 403)


def openapi(version: str, base: str = "/api") -> dict[str, Any]:
    """Return the OpenAPI document.

    Parameters
    ----------
    version
        Of the package.
    base
        Address below which the paths lie, e.g. ``/user/ann/queueserver/api``.
    """
    paths = _paths()
    tags = dict.fromkeys(tag for path in paths.values() for operation in path.values() for tag in operation["tags"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jupyter Queue Server",
            "version": version,
            "description": "Queue Bluesky plans and run them. A processed request is answered with 200 also when it is"
            " refused: look at `success`. Bodies are JSON objects, also with GET and DELETE.",
            "license": {"name": "BSD-3-Clause", "identifier": "BSD-3-Clause"},
        },
        "servers": [{"url": base}],
        "security": _SECURITY,
        "tags": [{"name": name} for name in tags],
        "paths": paths,
        "components": components(),
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for method in methods().values():
        if method.name not in form.NOT_SERVED:
            paths.setdefault(method.path, {})[method.verb.lower()] = _method(method)
    for path, (name, fixed) in form.FURTHER_ROUTES.items():
        operation = _method(methods()[name]) | {"operationId": f"{name}_{path.rpartition('/')[2] or 'root'}"}
        if fixed is not None:
            operation.pop("requestBody", None)
        paths.setdefault(path or "/", {})["get"] = operation
    for operation in OPERATIONS.values():
        paths.setdefault(operation.path, {})[operation.verb.lower()] = _further(operation)
    return paths


def _responses(statuses: Mapping[int, bool] | tuple[int, ...]) -> dict[str, Any]:
    return {str(status): {"$ref": f"#/components/responses/{FAILURES[status].name}"} for status in sorted(statuses)}


def _content(media: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": {media: {"schema": schema}}}


def _tag(scope: str) -> str:
    return "accounts" if not scope or scope.startswith(("user:", "admin:")) else scope.split(":")[1]


def _method(method: Method) -> dict[str, Any]:
    has_body = method.name not in form.IGNORE_BODY
    statuses = (*_ALWAYS, 408, 413, *((422,) if has_body else ()))
    operation: dict[str, Any] = {
        "operationId": method.name,
        "summary": method.summary,
        "tags": [_tag(method.scope)],
        "x-access": method.access,
        "x-scope": method.scope,
        "responses": {
            "200": {"description": "the reply", **_content("application/json", reply_schema(method))},
            **_responses(statuses),
        },
    }
    if method.is_recorded:
        operation["parameters"] = [{"$ref": "#/components/parameters/RequestId"}]
    if has_body:
        operation["requestBody"] = {
            "required": method.name in form.NEED_BODY,
            **_content("application/json", body_schema(method)),
        }
    return operation


def _further(operation: Operation) -> dict[str, Any]:
    statuses = {*_ALWAYS, *operation.statuses}
    if operation.body is not None and operation.reply is not None:
        statuses |= {413, 422}
    if operation.name == "queue_upload_spreadsheet":
        statuses.add(408)
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [_tag(operation.scope)],
        "x-access": operation.access,
        "x-scope": operation.scope,
        "responses": {**_success(operation), **_responses(tuple(statuses))},
    }
    parameters = _parameters(operation)
    if operation.name == "queue_upload_spreadsheet":
        parameters.append({"$ref": "#/components/parameters/RequestId"})
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = {"required": operation.needs_body, **_content(operation.body_media, operation.body)}
    if operation.is_public:
        found["security"] = [{}, *_SECURITY]
    return found


def _success(operation: Operation) -> dict[str, Any]:
    if not operation.media:
        return {"101": {"description": "the websocket is open"}}
    if operation.reply is None:
        return {}
    return {"200": {"description": "the reply", **_content(operation.media, operation.reply)}}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    return in_path + [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in operation.query.items()]


def body_schema(method: Method) -> dict[str, Any]:
    """Return the JSON Schema of a request's body: the parameters of the method, and what only the HTTP interface knows."""
    shown = [each for each in method.parameters if each.name not in form.IDENTITY_KEYS]
    properties = {each.name: _parameter(each) for each in shown}
    if method.is_recorded:
        properties[REQUEST_ID.name] = _parameter(REQUEST_ID)
    properties |= {name: dict(form.KEY_SCHEMAS[name]) for name in sorted(form.GATEWAY_KEYS.get(method.name, ()))}
    schema = {
        "type": "object",
        "required": [each.name for each in shown if each.required],
        "properties": properties,
        "additionalProperties": False,
    }
    if method.name != "queue_mode_set":
        return schema
    direct = {name: {"type": "boolean"} for name in form.MODE_KEYS}
    direct |= {name: properties[name] for name in ("lock_key", REQUEST_ID.name)}
    return {"anyOf": [schema, {"type": "object", "properties": direct, "additionalProperties": False}]}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = annotation_schema(parameter.annotation)
    schema |= form.KEY_SCHEMAS.get(parameter.name, {})
    if parameter.doc:
        schema["description"] = parameter.doc
    if not parameter.required and parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def reply_schema(method: Method) -> dict[str, Any]:
    """Return the JSON Schema of a reply."""
    if method.lenient:
        return {"$ref": "#/components/schemas/Status"}
    return {
        "type": "object",
        "required": ["success", "msg", *method.reply],
        "properties": {
            "success": {"type": "boolean"},
            "msg": {"type": "string", "description": "why it was refused; empty on success"},
            **{name: _key(key) for name, key in method.reply.items()},
            "error": {"$ref": "#/components/schemas/Error"},
        },
    }


def _key(key: Key) -> dict[str, Any]:
    schema = dict(key.schema)
    may_be_null = key.on_failure is None or isinstance(key.on_failure, Sent)  # a refusal shows what was sent: perhaps nothing
    if may_be_null and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if key.doc:
        schema["description"] = key.doc
    return schema
