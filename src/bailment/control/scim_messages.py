"""SCIM 2.0's messages, which `scim2-server` reads, carries out and writes.

It takes memory that few issuers need, so that it is loaded with the first source that speaks it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qsl

from pydantic import ValidationError
from scim2_models import Error, PayloadTooLargeException, SCIMException, UnauthorizedException
from scim2_server.handler import AsyncScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService, scim_exception_of
from starlette.requests import Request
from starlette.responses import Response

from bailment.access.reasons import Refused
from bailment.control.actions import Denied
from bailment.control.directory import PROVIDER, Directory
from bailment.control.requests import bounded_body

_MOST = 256 * 1024
_SERVICE = ScimService(PROVIDER)


async def answered(
    request: Request, base: str, path: str, opened: Callable[[], Awaitable[Directory]] | None
) -> Response:
    """The answer to a request for `path` below `base`; `opened` is the directory that its
    credential is of, None if it is of none."""
    scope = request.scope
    asked = ScimRequest(
        request.method,
        base,
        path,
        dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
    )
    try:
        answer = await _handled(request, asked, opened)
    except SCIMException as error:
        answer = _SERVICE.error_response(error)
    except ValidationError as error:
        answer = _SERVICE.error_response(scim_exception_of(error))
    except Denied as denied:
        answer = _unavailable(str(denied))
    body = b"" if answer.body is None else json.dumps(answer.body).encode()
    return Response(body, int(answer.status), {**answer.headers, "cache-control": "no-store"})


async def _handled(
    request: Request, asked: ScimRequest, opened: Callable[[], Awaitable[Directory]] | None
) -> ScimResponse:
    if opened is None:
        raise UnauthorizedException(detail="the credential is no source's")
    body = await bounded_body(request, _MOST)
    if isinstance(body, Refused):
        raise PayloadTooLargeException(detail=body.detail)
    asked.body = body
    return await AsyncScimHandler(_SERVICE, await opened()).handle(asked)


def _unavailable(why: str) -> ScimResponse:
    """The directory says it again."""
    headers = {"retry-after": "5"}
    return ScimResponse(HTTPStatus(503), Error(status=503, detail=why).model_dump(), headers)
