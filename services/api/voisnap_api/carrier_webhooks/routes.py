"""`/api/v1/carriers/{provider}/{account}/voice|events|resume`: what carriers post about calls.

No key of ours opens them, the carrier's signature does. They are no part of the API that tenants use, and of no SDK.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation
from voisnap_providers.ports.carrier import WebhookRequest

from voisnap_api.gate import CARRIER_WEBHOOKS

from .desk import Address, Posted, WebhookDesk

MAX_BODY = 65536
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_PATH = "/api/v1/carriers/{provider:str}/{account:str}/"

InjectedDesk = NamedDependency[SkipValidation[WebhookDesk]]
InjectedPublicUrl = NamedDependency[SkipValidation[str]]


@route(
    [_PATH + address.value for address in Address],
    http_method=[HttpMethod.GET, HttpMethod.POST],
    opt={"public": True, "policy": CARRIER_WEBHOOKS, "uncompressed": True, "any_answer": True},
    include_in_schema=False,
    request_max_body_size=MAX_BODY,
)
async def carrier_webhook(
    provider: FromPath[str],
    account: FromPath[str],
    webhook_desk: InjectedDesk,
    public_url: InjectedPublicUrl,
    request: Request[Any, Any, Any],
) -> Response[bytes]:
    """What the carrier is answered: a document that says what to do with the call, or nothing."""
    query = request.scope["query_string"].decode("latin-1")
    posted = Posted(
        provider=provider,
        account=account,
        address=Address(request.scope["path"].rstrip("/").rpartition("/")[2]),
        request=WebhookRequest(
            method=request.method,
            url=_address(public_url, request),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.body(),
        ),
        **_whose(query),
    )
    document = await webhook_desk.answer(posted)
    return Response(
        document.body,
        status_code=document.status,
        media_type=document.content_type,
        headers={"Cache-Control": "no-store"},
    )


def _address(public_url: str, request: Request[Any, Any, Any]) -> str:
    """The address that the carrier was told: neither Host nor what a proxy says changes it."""
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    query = request.scope["query_string"].decode("latin-1")
    return f"{public_url}{path}{f'?{query}' if query else ''}"


def _whose(query: str) -> dict[str, str]:
    """What our own addresses say of the session."""
    names = {"session": "session_id", "attempt": "attempt_id"}
    return {names[name]: value for name, value in parse_qsl(query) if name in names and _ID.fullmatch(value)}
