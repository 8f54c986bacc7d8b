"""The description of the admin API (OpenAPI 3.1), made of its endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

import fastcollab
from fastcollab.server.admin import PREFIX
from fastcollab.server.admin.endpoint import Endpoint
from fastcollab.server.admin.problems import MEDIA_TYPE, Problem

#: What any request may be answered with.
_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_BODY = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

_REFERENCE = "#/components/schemas/{name}"

Schema = dict[str, Any]


def describe(endpoints: Sequence[Endpoint]) -> Schema:
    """The description as JSON values."""
    kinds: list[type[Any]] = [Problem]
    for endpoint in endpoints:
        kinds += [each for each in (endpoint.body, endpoint.result) if each not in (None, type(None))]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    of_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, Schema] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, of_kind)
    description: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "fastcollab admin API",
            "version": fastcollab.__version__,
            "description": "What operators and a team's own programs ask of a gateway, and have it do.",
        },
        "servers": [{"url": PREFIX}],
        "security": [{"key": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(endpoint.tag for endpoint in endpoints)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "One of the keys in ops.api_keys."}
            },
        },
    }
    return {name: _portable(value) for name, value in description.items()}


def _operation(endpoint: Endpoint, schemas: dict[type[Any], Schema]) -> Schema:
    operation: Schema = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "parameters": list(_parameters(endpoint)),
        "responses": {str(status.value): _response(status, schemas[Problem]) for status in _problems(endpoint)},
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[endpoint.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    success: Schema = {"description": endpoint.status.phrase}
    if endpoint.result in schemas:
        success["content"] = {"application/json": {"schema": schemas[endpoint.result]}}
    operation["responses"] = {str(endpoint.status.value): success, **operation["responses"]}
    return operation


def _parameters(endpoint: Endpoint) -> Iterable[Schema]:
    _, components = msgspec.json.schema_components([endpoint.parameters], ref_template=_REFERENCE)
    [schema] = components.values()
    for name, field in schema["properties"].items():
        # What is described of a value is told of the parameter.
        told = {"description": field.pop("description")} if "description" in field else {}
        yield {
            "name": name,
            "in": "path" if name in endpoint.in_path else "query",
            "required": name in schema.get("required", ()),
            "schema": field,
            **told,
        }


def _problems(endpoint: Endpoint) -> list[HTTPStatus]:
    found = {*_ALWAYS, *endpoint.problems}
    if endpoint.body is not None:
        found.update(_WITH_BODY)
    # What is not said in the parameters, such as an unknown one, is refused wherever it comes.
    found.add(HTTPStatus.BAD_REQUEST)
    return sorted(found)


def _response(status: HTTPStatus, schema: Schema) -> Schema:
    return {"description": status.phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def _portable(value: Any) -> Any:
    """The same with regular expressions as JavaScript has them, which OpenAPI asks for."""
    match value:
        case dict():
            return {
                name: each.replace(r"\Z", "$") if name == "pattern" and isinstance(each, str) else _portable(each)
                for name, each in value.items()
            }
        case list():
            return [_portable(each) for each in value]
        case _:
            return value
