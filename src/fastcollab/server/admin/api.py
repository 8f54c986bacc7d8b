"""The admin API as an application of aiohttp: keys first, then the endpoint, and problems for whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from fastcollab.config import Config, OpsConfig
from fastcollab.errors import InternalError, InvalidToken, ProtocolError, RateLimited
from fastcollab.logs import get_logger
from fastcollab.server.admin import PREFIX, activity, connections, documents, nodes, rooms
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.endpoint import Endpoint
from fastcollab.server.admin.keys import Keys
from fastcollab.server.admin.openapi import describe
from fastcollab.server.admin.problems import Refused, problem, refusal
from fastcollab.server.clock import instant

log = get_logger(__name__)

GROUPS = (rooms.group, documents.group, connections.group, nodes.group, activity.group)

ENDPOINTS: Sequence[Endpoint] = [endpoint for group in GROUPS for endpoint in group.endpoints]

#: Answers a request to an endpoint; may raise what :func:`application` makes problems of.
Answer = Callable[[Endpoint, web.Request], Awaitable[web.StreamResponse]]

#: How many requests are looked into at once, so that whatever they ask for leaves the loop to clients; others wait.
_AT_ONCE = 16


def admin_api(config: Config, desk: Desk) -> Mapping[str, web.Application]:
    """The API of a gateway, by the beginning of its path; without a key to it there is none."""
    return behind_keys(config.ops, answers_of(config, desk))


def behind_keys(config: OpsConfig, answer: Answer) -> Mapping[str, web.Application]:
    """The API, for whoever has a key, by the beginning of its path; without any there is none."""
    keys = Keys(config)
    return {PREFIX: application(answer, _keys_first(keys))} if keys else {}


def answers_of(config: Config, desk: Desk) -> Answer:
    """What a gateway answers by itself."""
    limit = max_body(config)

    async def answer(endpoint: Endpoint, request: web.Request) -> web.StreamResponse:
        return await endpoint.answer(desk, request, limit)

    return answer


def max_body(config: Config) -> int:
    """How many bytes the body of a request may have: JSON may be longer than what it says."""
    return 2 * config.documents.max_operation_bytes


def application(answer: Answer, *before: Middleware) -> web.Application:
    """The endpoints and their description; `before` are middlewares that are asked first."""
    turns = asyncio.Semaphore(_AT_ONCE)
    description = msgspec.json.encode(describe(ENDPOINTS))

    @web.middleware
    async def problems_told(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            async with turns:
                return await handler(request)
        except (Refused, ProtocolError) as error:
            return refusal(error)
        except web.HTTPException as error:
            allowed = {name: value for name, value in error.headers.items() if name == "Allow"}
            return problem(HTTPStatus(error.status), headers=allowed)
        except Exception:
            log.exception("a request could not be carried out", method=request.method, path=request.path)
            return refusal(InternalError("the gateway failed to carry this out"))

    def answered_by(endpoint: Endpoint) -> Handler:
        async def answered(request: web.Request) -> web.StreamResponse:
            return await answer(endpoint, request)

        return answered

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    made = web.Application(middlewares=[*before, problems_told])
    made.router.add_route("GET", "/openapi.json", openapi)
    for endpoint in ENDPOINTS:
        made.router.add_route(endpoint.method, endpoint.route, answered_by(endpoint))
    return made


def _keys_first(keys: Keys) -> Middleware:
    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            key = keys.name(request.headers.get("Authorization"), instant().monotonic)
        except InvalidToken as error:
            return refusal(error, HTTPStatus.UNAUTHORIZED)
        except RateLimited as error:
            return refusal(error)
        if request.method != "GET":
            log.info("an administrator acts", key=key, method=request.method, path=request.path)
        return await handler(request)

    return guarded
