"""One endpoint: a handler with its place, and how a request becomes its arguments.

The first parameter of a handler is the desk; the second a struct of what is in path and query; a third, if there is
one, the body. What does not fit its struct is refused before the handler is called, with the name of the field.

What a handler tells of its own gateway only, several workers of one ``serve`` tell together: how their answers become
one is said beside it, by a function that is given the parameters and the answers (:mod:`fastcollab.server.admin.pool`).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar, get_type_hints

import msgspec
from aiohttp import web

from fastcollab._json_depth import is_deeper
from fastcollab.messages import MAX_DEPTH, explain
from fastcollab.server.admin.desk import Desk
from fastcollab.server.admin.problems import Refused

_PLACEHOLDER = re.compile(r"{(\w+)}")

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

#: Makes one answer of those of several gateways to a request with these parameters.
Pooling = Callable[[Any, Sequence[Any]], Any]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`path` has its parameters in braces. `problems` are what it may answer with besides what each may. Without
    `pooling` any gateway says the same as all of them.
    """

    method: str
    path: str
    tag: str
    status: HTTPStatus
    problems: Sequence[HTTPStatus]
    handler: Callable[..., Awaitable[Any]]
    parameters: type[msgspec.Struct]
    body: type[msgspec.Struct] | None
    result: type[Any]
    pooling: Pooling | None = None

    @property
    def name(self) -> str:
        """The handler's name in camel case, as clients that are generated call it."""
        first, *others = self.handler.__name__.split("_")
        return first + "".join(map(str.title, others))

    @property
    def summary(self) -> str:
        return self._documentation[0].removesuffix(".")

    @property
    def description(self) -> str:
        return self._documentation[1]

    @property
    def _documentation(self) -> tuple[str, str]:
        first, _, rest = (inspect.getdoc(self.handler) or "").partition("\n\n")
        return " ".join(first.split()), "\n\n".join(" ".join(part.split()) for part in rest.split("\n\n") if part)

    @property
    def in_path(self) -> frozenset[str]:
        """The parameters that are in the path; all others are in the query."""
        return frozenset(_PLACEHOLDER.findall(self.path))

    @property
    def route(self) -> str:
        """The path as aiohttp has it: a parameter is anything but a slash that is written as one."""
        return _PLACEHOLDER.sub(r"{\1:[^/]+}", self.path)

    async def answer(self, desk: Desk, request: web.Request, max_body: int) -> web.Response:
        """Raises :class:`Refused`, and what the handler raises."""
        arguments: list[Any] = [desk, self.asked(request)]
        if self.body is not None:
            arguments.append(await _body(request, self.body, max_body))
        return self.response(await self.handler(*arguments))

    def response(self, result: Any) -> web.Response:
        """What tells this result of the handler."""
        if result is None:
            return web.Response(status=self.status)
        return web.Response(status=self.status, body=msgspec.json.encode(result), content_type="application/json")

    def asked(self, request: web.Request) -> msgspec.Struct:
        """What path and query say; raises :class:`Refused`."""
        given: dict[str, str] = dict(request.match_info)
        for name, value in request.query.items():
            if name in given:
                raise Refused(HTTPStatus.BAD_REQUEST, f"the parameter {name!r} is given twice", path=name)
            given[name] = value
        try:
            return msgspec.convert(given, self.parameters, strict=False)
        except msgspec.ValidationError as error:
            raise _unfit(error) from None


@dataclass(frozen=True, slots=True)
class Group:
    """The endpoints about one kind of things, each made of the handler below its decorator."""

    tag: str
    endpoints: list[Endpoint] = field(default_factory=list)

    def add(
        self,
        method: str,
        path: str,
        *problems: HTTPStatus,
        status: HTTPStatus = HTTPStatus.OK,
        pooling: Pooling | None = None,
    ) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            hints = get_type_hints(handler)
            result = hints.pop("return")
            _, parameters, *body = hints.values()
            self.endpoints.append(
                Endpoint(
                    method,
                    path,
                    self.tag,
                    status,
                    problems,
                    handler,
                    parameters,
                    body[0] if body else None,
                    result,
                    pooling,
                )
            )
            return handler

        return register


async def read_body(request: web.Request, limit: int) -> bytes:
    """Raises :class:`Refused` if it has more than `limit` bytes."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too long", limit=limit)
    return bytes(body)


async def _body(request: web.Request, kind: type[msgspec.Struct], limit: int) -> Any:
    if request.content_type != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body has to be application/json")
    body = await read_body(request, limit)
    try:
        if is_deeper(body, MAX_DEPTH):
            raise Refused(HTTPStatus.BAD_REQUEST, "the body is nested too deeply", limit=MAX_DEPTH)
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _unfit(error) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the body is not valid JSON: {error}") from None


def _unfit(error: msgspec.ValidationError) -> Refused:
    reason, path = explain(error)
    return Refused(HTTPStatus.BAD_REQUEST, f"{reason}: {path}" if path else reason, path=path)
