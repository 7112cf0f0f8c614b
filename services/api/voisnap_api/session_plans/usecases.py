"""What a session is made of: the agent's version that talks, its caller, and the limits of the plan."""

from typing import Any

import msgspec
from voisnap_domain.agents import AgentSnapshot, TransferTarget
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.errors import Conflict, FieldError, Forbidden, Invalid
from voisnap_domain.ids import AgentId, ConversationId, ProviderCredentialId, SessionId
from voisnap_domain.languages import language_tag
from voisnap_domain.provider_credentials import SealedCredential
from voisnap_domain.sessions import Caller, Channel, Direction, SessionPlan
from voisnap_kit import log
from voisnap_kit.work import Work
from voisnap_providers.accounts import PLATFORM
from voisnap_providers.carriers import SIMULATOR

from voisnap_api.agents.usecases import talking_version
from voisnap_api.outbound_calls.countries import destination_fault
from voisnap_api.phone_numbers.usecases import line_for_texts
from voisnap_api.provider_credentials.usecases import credentials_for, sealed_credential
from voisnap_api.spending.usecases import terms_for_new_session
from voisnap_api.tenants.usecases import limits_for_new_session

MAX_METADATA_BYTES = 16_384

_ID_PREFIXES = {Channel.WEBRTC: "wrtc", Channel.WEBCHAT: "chat"}
_OTHER_PREFIX = "call"

_log = log.get(__name__)


async def plan_session(
    work: Work,
    agent_id: AgentId,
    channel: Channel,
    metadata: dict[str, Any],
    *,
    caller: Caller | None = None,
    language: str | None = None,
    version: str | None = None,
    bound_to: str | None = None,
    direction: Direction = Direction.INBOUND,
    rehearsing: bool = False,
    leg: CarrierLeg | None = None,
) -> SessionPlan:
    """Everything the runtime needs to hold the conversation, with ids of its own; nothing is reserved yet.

    What the agent's `channels` say about this one is in the plan. `language` replaces the agent's transcription language: a BCP 47 tag or an
    English name. `version` names another version than the one that talks, for callers who may edit agents. `bound_to` is the only agent the
    credential may call. `rehearsing`: a test, which needs no active agent. `leg`: the carrier's side of a telephone call; the tenant's own
    account with the carrier travels with the plan. Raises Forbidden, NotFound `agent-not-found`, Conflict
    `agent-inactive`, `channel-disabled`, LimitReached `spend-limit-reached`, Invalid.
    """
    check_metadata(metadata)
    if bound_to is not None and bound_to != agent_id:
        raise Forbidden("This token is for another agent.", code="wrong-agent")
    if version is not None and not rehearsing:  # a test's was asked for by somebody who may
        work.caller.require("agents:write")
    limits = await limits_for_new_session(work)
    snapshot = _on(channel, await talking_version(work, agent_id, version=version, rehearsing=rehearsing))
    if leg is not None:
        snapshot = await _within_reach(work, snapshot, leg)
    return SessionPlan(
        session_id=SessionId(work.new_id(_ID_PREFIXES.get(channel, _OTHER_PREFIX))),
        conversation_id=ConversationId(work.new_id("conv")),
        tenant_id=work.caller.tenant_id,
        environment=work.caller.environment,
        channel=channel,
        direction=direction,
        agent=snapshot if language is None else _in_language(snapshot, language),
        caller=caller or Caller(),
        metadata=metadata,
        created_at=work.now,
        max_concurrent=limits.max_concurrent_calls,
        spend=await terms_for_new_session(work, limits, snapshot.config),
        credentials=(
            *await credentials_for(work, snapshot.config, channel),
            *(() if leg is None else await _carriers_credential(work, leg)),
        ),
        leg=leg,
        can_text=await _can_text(work, snapshot, channel, caller),
    )


async def _within_reach(work: Work, snapshot: AgentSnapshot, leg: CarrierLeg) -> AgentSnapshot:
    """The agent without targets of transfers that the tenant may not call either."""
    transfer = snapshot.config.transfer
    kept: list[TransferTarget] = []
    for target in transfer.targets:
        number = target.phone_number
        if number and (fault := await destination_fault(work, number, account=leg.account, ours=leg.number)):
            _log.warning("transfer.target_left_out", agent_id=snapshot.agent_id, target=target.name, code=fault)
        else:
            kept.append(target)
    if len(kept) == len(transfer.targets):
        return snapshot
    config = msgspec.structs.replace(snapshot.config, transfer=msgspec.structs.replace(transfer, targets=tuple(kept)))
    return msgspec.structs.replace(snapshot, config=config)


async def _can_text(work: Work, snapshot: AgentSnapshot, channel: Channel, caller: Caller | None) -> bool:
    """Whether the agent can send the caller of a telephone call a text."""
    if channel is not Channel.PHONE or caller is None or caller.phone_number is None:
        return False
    return snapshot.config.serves(Channel.SMS.value) and await line_for_texts(work, snapshot.agent_id) is not None


async def _carriers_credential(work: Work, leg: CarrierLeg) -> tuple[SealedCredential, ...]:
    """The tenant's own account with the carrier, sealed; nothing where the account is one that tenants share."""
    if leg.account in (PLATFORM, SIMULATOR):
        return ()
    found = await sealed_credential(work, ProviderCredentialId(leg.account), work.caller.environment)
    if found is None or found.provider != leg.provider:
        raise Conflict(
            f"The account with {leg.provider} that this number belongs to is gone.", code="provider-not-configured"
        )
    return (found,)


def check_metadata(metadata: dict[str, Any]) -> None:
    """Raise Invalid for metadata that are too large to travel with a session."""
    if len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        detail = f"must be at most {MAX_METADATA_BYTES} bytes of JSON"
        raise Invalid((FieldError(pointer="/metadata", code="too-large", detail=detail),))


def _on(channel: Channel, snapshot: AgentSnapshot) -> AgentSnapshot:
    config = snapshot.config
    if not config.serves(channel.value):
        raise Conflict(
            f"Agent {snapshot.agent_id} is switched off on the channel {channel.value}.", code="channel-disabled"
        )
    return msgspec.structs.replace(snapshot, config=config.on(channel.value))


def _in_language(snapshot: AgentSnapshot, language: str) -> AgentSnapshot:
    tag = language_tag(language)
    if tag is None:
        detail = "must be a BCP 47 language tag such as es-MX"
        raise Invalid((FieldError(pointer="/language", code="bad-language", detail=detail),))
    transcription = msgspec.structs.replace(snapshot.config.transcription, language=tag)
    config = msgspec.structs.replace(snapshot.config, transcription=transcription)
    return msgspec.structs.replace(snapshot, config=config)
