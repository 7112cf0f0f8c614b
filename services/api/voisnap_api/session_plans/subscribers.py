"""Answers the runtime, which asks for the plans of sessions that begin at a hub."""

from voisnap_domain.errors import TooManyRequests
from voisnap_domain.ids import UserId
from voisnap_domain.sessions import Caller as SessionCaller
from voisnap_domain.sessions import Channel
from voisnap_kit.bus import EventBus, Subscription
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin
from voisnap_proto.requests import PLAN_SESSION, PlanSession, SessionPlanned

from voisnap_api.auth.usecases import check_still_welcome
from voisnap_api.gate import CHAT_HUB, VOICE_HUB, Limiter

from . import usecases

QUEUE = "api"

_POLICIES = {Channel.PHONE: VOICE_HUB, Channel.WEBCHAT: CHAT_HUB}


async def subscribe(bus: EventBus, database: Database, limiter: Limiter) -> Subscription:
    """Answer until the subscription is closed; the processes of the API share the requests."""

    async def plan(request: PlanSession) -> SessionPlanned:
        return await on_plan_session(database, limiter, request)

    return await bus.respond(PLAN_SESSION, QUEUE, PlanSession, plan)


async def on_plan_session(database: Database, limiter: Limiter, request: PlanSession) -> SessionPlanned:
    """The plan for a caller whom the runtime has authenticated. New sessions of a hub are counted by tenant and minute."""
    is_person = request.user_id.startswith("usr_")
    caller = Caller(
        tenant_id=request.tenant_id,
        environment=request.environment,
        user_id=UserId(request.user_id) if is_person else None,
        key_id=None if is_person else request.user_id.partition(":")[0],
        role="Hub",
        scopes=frozenset(request.scopes),
    )
    policy = _POLICIES.get(request.channel)
    if policy is not None:
        await _count(limiter, policy, caller)
    async with begin(database, caller) as work:
        await check_still_welcome(work)
        planned = await usecases.plan_session(
            work,
            request.agent_id,
            request.channel,
            request.metadata,
            caller=SessionCaller(user_id=request.user_id),
            language=request.language,
            version=request.version,
        )
    return SessionPlanned(plan=planned)


async def _count(limiter: Limiter, policy: str, caller: Caller) -> None:
    counted = await limiter.count_of_tenant(policy, caller)
    if counted is not None and not counted.rate.allowed:
        rate = counted.rate
        raise TooManyRequests(
            f"More than {rate.limit} connections a minute under the policy {policy}. Try again in {rate.reset} s.",
            retry_after=rate.retry_after,
        )
