"""The admin API as an application of aiohttp: keys first, then the endpoint, and problems for whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from fastcollab.config import Config
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

#: How many requests are looked into at once, so that whatever they ask for leaves the loop to clients; others wait.
_AT_ONCE = 16


def admin_api(config: Config, desk: Desk) -> Mapping[str, web.Application]:
    """The API, by the beginning of its path; without a key to it there is none."""
    keys = Keys(config.ops)
    # JSON may be longer than what it says.
    return {PREFIX: _application(keys, desk, 2 * config.documents.max_operation_bytes)} if keys else {}


def _application(keys: Keys, desk: Desk, max_body: int) -> web.Application:
    """No body may have more than `max_body` bytes."""
    turns = asyncio.Semaphore(_AT_ONCE)
    description = msgspec.json.encode(describe(ENDPOINTS))

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
        async def answer(request: web.Request) -> web.StreamResponse:
            return await endpoint.answer(desk, request, max_body)

        return answer

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    application = web.Application(middlewares=[guarded])
    application.router.add_route("GET", "/openapi.json", openapi)
    for endpoint in ENDPOINTS:
        application.router.add_route(endpoint.method, endpoint.route, answered_by(endpoint))
    return application
