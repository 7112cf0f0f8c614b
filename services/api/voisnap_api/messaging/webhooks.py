"""`/api/v1/carriers/{provider}/{account}/messages|message-status`: what messaging networks post.

No key of ours opens them, the network's signature does. They are no part of the API that tenants use, and of no SDK.
"""

import re
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation
from voisnap_providers.ports.messaging import WebhookRequest

from voisnap_api.carrier_webhooks.routes import InjectedPublicUrl
from voisnap_api.gate import CARRIER_WEBHOOKS

from .desk import MessageDesk

MAX_BODY = 3_200_000
"""WhatsApp puts up to 3 MB into one."""

_ABOUT = re.compile(r"msg_[0-9A-Za-z]{1,40}", re.ASCII)
_PATH = "/api/v1/carriers/{provider:str}/{account:str}/"

InjectedMessageDesk = NamedDependency[SkipValidation[MessageDesk]]


@route(
    [f"{_PATH}messages", f"{_PATH}message-status"],
    http_method=[HttpMethod.GET, HttpMethod.POST],
    opt={"public": True, "policy": CARRIER_WEBHOOKS, "uncompressed": True, "any_answer": True},
    include_in_schema=False,
    request_max_body_size=MAX_BODY,
)
async def message_webhook(
    provider: FromPath[str],
    account: FromPath[str],
    message_desk: InjectedMessageDesk,
    public_url: InjectedPublicUrl,
    request: Request[Any, Any, Any],
) -> Response[bytes]:
    """What the network is answered: that it was taken down, or what it wants to hear of an address of ours."""
    path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
    query = request.scope["query_string"].decode("latin-1")
    asked = WebhookRequest(
        method=request.method,
        url=f"{public_url}{path}{f'?{query}' if query else ''}",
        headers={name.lower(): value for name, value in request.headers.items()},
        body=await request.body(),
    )
    about = request.query_params.get("message") or ""
    document = await message_desk.answer(provider, account, asked, about=about if _ABOUT.fullmatch(about) else None)
    return Response(
        document.body,
        status_code=document.status,
        media_type=document.content_type,
        headers={"Cache-Control": "no-store"},
    )
