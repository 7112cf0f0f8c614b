"""What a carrier's webhooks do."""

from voisnap_domain.ids import SessionId
from voisnap_kit.work import Work

from . import store


async def remember_call(
    work: Work,
    *,
    provider: str,
    account: str,
    call_id: str = "",
    session_id: SessionId,
    attempt_id: str | None = None,
) -> None:
    """Whose call it is, so that the carrier's webhooks find their session; `work` is in the tenant's environment.

    Whoever dials says it before the dial without the call's id, which nobody knows then, and once more with it: the carrier's first events
    may come before the dial has returned. Asking again changes nothing.
    """
    caller = work.caller
    named = call_id and await store.name_call(
        work.tx,
        caller.tenant_id,
        caller.environment,
        provider=provider,
        account=account,
        session_id=session_id,
        attempt_id=attempt_id,
        call_id=call_id,
    )
    if not named:
        await store.insert(
            work.tx,
            caller.tenant_id,
            caller.environment,
            provider=provider,
            account=account,
            call_id=call_id,
            session_id=session_id,
            attempt_id=attempt_id,
            at=work.now,
        )
