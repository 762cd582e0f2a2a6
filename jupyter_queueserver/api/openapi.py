"""The OpenAPI 3.1 document of the REST interface, from the registry.

Pure: makes a dictionary, reads nothing.
"""

from __future__ import annotations

import ast
from typing import Any

from .registry import Key, Method, Parameter, methods

#: Taken from the authenticated identity; what a client sends is overwritten.
_IDENTITY = ("user", "user_group")
_TYPES: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "dict": {"type": "object"},
    "list": {"type": "array"},
    "None": {"type": "null"},
    "Any": {},
}
_ERROR = {
    "type": "object",
    "description": "only in a refusal",
    "required": ["code", "hint", "path"],
    "properties": {
        "code": {"type": "string", "description": "stable name of the reason"},
        "hint": {"type": "string", "description": "what to do"},
        "path": {"type": "string", "description": "which parameter is meant; empty: none"},
    },
}


def openapi(version: str, base: str = "/api") -> dict[str, Any]:
    """Return the OpenAPI document.

    Parameters
    ----------
    version
        Of the package.
    base
        Address below which the paths lie, e.g. ``/user/ann/queueserver/api``.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jupyter Queue Server",
            "version": version,
            "description": "Queue Bluesky plans and run them. A processed request is answered with 200 also when it is"
            " refused: look at `success`.",
        },
        "servers": [{"url": base}],
        "security": [{"token": []}, {"tokenInQuery": []}, {"cookie": []}],
        "tags": [{"name": name} for name in dict.fromkeys(_tag(method) for method in methods().values())],
        "paths": _paths(),
        "components": {
            "schemas": {"Error": _ERROR, "Status": {"type": "object"}, "Detail": _detail()},
            "responses": {name: _response(text) for name, text in _FAILURES.items()},
            "securitySchemes": _security(),
        },
    }


_FAILURES = {
    "BadRequest": "unknown keys, wrong types, or a body that cannot be used",
    "Forbidden": "no or insufficient permission, or a failed XSRF check",
    "Timeout": "the manager did not answer",
    "Invalid": "the body is missing or no JSON object",
}
_CODES = {"400": "BadRequest", "403": "Forbidden", "408": "Timeout", "422": "Invalid"}


def _detail() -> dict[str, Any]:
    return {"type": "object", "required": ["detail"], "properties": {"detail": {"description": "what is wrong"}}}


def _response(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Detail"}}},
    }


def _security() -> dict[str, Any]:
    return {
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`token <token>` of the Jupyter server",
        },
        "tokenInQuery": {"type": "apiKey", "in": "query", "name": "token"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": "_xsrf",
            "description": "the browser's login cookie; with verbs other than GET the value of `_xsrf` is repeated in the"
            " header `X-XSRFToken`",
        },
    }


def _paths() -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for method in methods().values():
        paths.setdefault(method.path, {})[method.verb.lower()] = _operation(method)
    return paths


def _tag(method: Method) -> str:
    return method.scope.split(":")[1]


def _operation(method: Method) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": method.name,
        "summary": method.summary,
        "tags": [_tag(method)],
        "x-access": method.access,
        "x-scope": method.scope,
        "responses": {
            "200": {
                "description": "the reply",
                "content": {"application/json": {"schema": reply_schema(method)}},
            },
            **{code: {"$ref": f"#/components/responses/{name}"} for code, name in _CODES.items()},
        },
    }
    body = body_schema(method)
    if body["properties"] or not method.lenient:
        operation["requestBody"] = {
            "required": bool(body["required"]),
            "content": {"application/json": {"schema": body}},
        }
    return operation


def body_schema(method: Method) -> dict[str, Any]:
    """Return the JSON Schema of a request's body: the parameters of the method."""
    shown = [each for each in method.parameters if each.name not in _IDENTITY]
    return {
        "type": "object",
        "required": [each.name for each in shown if each.required],
        "properties": {each.name: _parameter(each) for each in shown},
        "additionalProperties": False,
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = annotation_schema(parameter.annotation)
    if parameter.doc:
        schema["description"] = parameter.doc
    if not parameter.required and parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def annotation_schema(annotation: str) -> dict[str, Any]:
    """Return the JSON Schema of an annotation such as ``int | str | None``; an unknown one allows everything."""
    return _node_schema(ast.parse(annotation, mode="eval").body)


def _node_schema(node: ast.expr) -> dict[str, Any]:
    match node:
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Name(id=name):
            return dict(_TYPES.get(name, {}))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _either(_node_schema(left), _node_schema(right))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=elements)):
            return {"enum": [ast.literal_eval(element) for element in elements]}
        case ast.Subscript(value=ast.Name(id="Literal"), slice=element):
            return {"const": ast.literal_eval(element)}
        case ast.Subscript(value=ast.Name(id="list"), slice=element):
            return {"type": "array", "items": _node_schema(element)}
        case ast.Subscript(value=ast.Name(id=name)):
            return dict(_TYPES.get(name, {}))
        case _:
            return {}


def _either(left: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    if left.keys() == right.keys() == {"type"}:
        kinds = [kind for side in (left, right) for kind in _as_list(side["type"])]
        return {"type": list(dict.fromkeys(kinds))}
    if not left or not right:
        return {}
    return {"anyOf": [*left.get("anyOf", [left]), right]}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


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
    if key.doc:
        schema["description"] = key.doc
    return schema
