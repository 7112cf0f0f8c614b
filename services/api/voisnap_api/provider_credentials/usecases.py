"""What can be done with a tenant's own access to providers. Secrets are sealed on their way in; only probes and sessions open them."""

from collections.abc import Iterable

import msgspec
from voisnap_domain.agents import AgentConfig
from voisnap_domain.errors import Conflict, FieldError, Invalid, LimitReached, NotFound
from voisnap_domain.ids import ProviderCredentialId
from voisnap_domain.provider_credentials import SealedCredential, sealing_context
from voisnap_domain.sessions import WRITTEN_CHANNELS, Channel
from voisnap_domain.tenants import Environment
from voisnap_kit import log, sealing
from voisnap_kit.work import Work

from voisnap_api.agents import usecases as agents
from voisnap_api.audit import usecases as audit
from voisnap_api.audit.records import Target
from voisnap_api.phone_numbers import holdings as phone_numbers
from voisnap_api.sip_trunks import holdings as sip_trunks

from . import store
from .fields import Values, checked_values, hints_of, moved, on_the_wire
from .records import CredentialOwner, CredentialTest, ProviderCredential

MOST = 100
"""Credentials of one tenant and environment."""

_NAMED = 10

_log = log.get(__name__)


class Vault:
    """Seals with the keys of this installation, if it has any."""

    def __init__(self, keys: sealing.KeyService | None) -> None:
        self.keys = keys

    def seal(self, values: Values, context: tuple[str, ...]) -> tuple[bytes, str]:
        """The secrets as they are stored, and the id of the key that sealed them. Raises Conflict `sealing-not-configured`."""
        if self.keys is None:
            raise Conflict(
                f"This installation has no key to seal secrets with: its operator sets {sealing.VARIABLE}.",
                code="sealing-not-configured",
            )
        sealed = sealing.seal(self.keys, msgspec.json.encode(values.secrets), context=context)
        return sealed, sealing.sealed_with(sealed)


async def create_credential(
    work: Work,
    vault: Vault,
    *,
    provider: str,
    name: str,
    secrets: dict[str, str],
    options: dict[str, str],
    is_default: bool = False,
) -> ProviderCredential:
    """Access to a provider in the caller's environment; the first one is the default one.

    Raises Invalid, LimitReached `credential-limit-reached`, Conflict `sealing-not-configured`.
    """
    values, faults = checked_values(provider, secrets, options)
    if all_faults := (*_name_faults(name), *faults):
        raise Invalid(all_faults)
    caller = work.caller
    await store.lock(work.tx, caller.tenant_id, caller.environment)
    if await store.count(work.tx, caller.tenant_id, caller.environment, None) >= MOST:
        raise LimitReached(f"There can be {MOST} provider credentials at most.", code="credential-limit-reached")
    is_first = not await store.count(work.tx, caller.tenant_id, caller.environment, provider)
    if is_default and not is_first:
        await store.clear_default(work.tx, caller.tenant_id, caller.environment, provider)
    credential_id = ProviderCredentialId(work.new_id("pcred"))
    sealed, sealed_with = vault.seal(
        values, sealing_context(caller.tenant_id, caller.environment, provider, credential_id)
    )
    credential = ProviderCredential(
        id=credential_id,
        tenant_id=caller.tenant_id,
        environment=caller.environment,
        provider=provider,
        name=name.strip(),
        options=values.options,
        hints=hints_of(values.secrets),
        sealed=sealed,
        sealed_with=sealed_with,
        revision=1,
        is_default=is_default or is_first,
        created_by=caller.user_id or caller.key_id,
        created_at=work.now,
        updated_at=work.now,
    )
    await store.insert(work.tx, credential)
    await _note(work, "created", credential, {"isDefault": credential.is_default})
    return credential


async def get_credential(work: Work, credential_id: ProviderCredentialId) -> ProviderCredential:
    """One credential of the caller's environment. Raises NotFound."""
    found = await store.get(work.tx, work.caller.tenant_id, work.caller.environment, credential_id)
    if found is None:
        raise NotFound("provider credential", credential_id)
    return found


async def list_credentials(
    work: Work, provider: str | None, *, limit: int, offset: int
) -> tuple[list[ProviderCredential], int]:
    """One page of the credentials of the caller's environment, newest first, and how many there are."""
    caller = work.caller
    found = await store.page(work.tx, caller.tenant_id, caller.environment, provider, limit=limit, offset=offset)
    return found, await store.count(work.tx, caller.tenant_id, caller.environment, provider)


async def change_credential(
    work: Work,
    vault: Vault,
    credential_id: ProviderCredentialId,
    *,
    name: str | None = None,
    secrets: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    is_default: bool | None = None,
) -> ProviderCredential:
    """Rename it, replace its secrets or options (a new revision), or make it the default one. Sessions that run keep what they began with.

    Raises NotFound, Invalid, Conflict `default-needed` and `sealing-not-configured`.
    """
    await store.lock(work.tx, work.caller.tenant_id, work.caller.environment)
    before = after = await get_credential(work, credential_id)
    faults = () if name is None else _name_faults(name)
    if secrets is not None or options is not None:
        after, more = _with_values(vault, before, secrets, options)
        faults = (*faults, *more)
    if faults:
        raise Invalid(faults)
    if is_default is False and before.is_default:
        raise Conflict("Make another credential of this provider the default one instead.", code="default-needed")
    if is_default and not before.is_default:
        await store.clear_default(work.tx, before.tenant_id, before.environment, before.provider)
        after = msgspec.structs.replace(after, is_default=True)
    if name is not None:
        after = msgspec.structs.replace(after, name=name.strip())
    if after == before:
        return before
    after = msgspec.structs.replace(after, updated_at=work.now)
    await store.update(work.tx, after)
    await _note(work, "changed", after, {"changed": _changed(before, after), "revision": after.revision})
    return after


async def delete_credential(work: Work, credential_id: ProviderCredentialId, *, force: bool = False) -> None:
    """Delete a credential; the newest other one of its provider takes its place. Sessions that run end as they began.

    Raises NotFound, Conflict `credential-in-use` while telephone numbers are rented or trunks made with it, and without `force` also when active agents would
    be left without one.
    """
    await store.lock(work.tx, work.caller.tenant_id, work.caller.environment)
    credential = await get_credential(work, credential_id)
    tenant_id, environment, provider = credential.tenant_id, credential.environment, credential.provider
    if numbers := await phone_numbers.rented_with(work, credential.id, limit=_NAMED + 1):
        raise Conflict(
            f"Numbers are rented with it: {_named(numbers)}. Give them back first, with ?keep=true if the account goes on renting them.",
            code="credential-in-use",
        )
    if trunks := await sip_trunks.made_with(work, credential.id, limit=_NAMED + 1):
        raise Conflict(f"SIP trunks are made with it: {_named(trunks)}. Delete them first.", code="credential-in-use")
    is_last = await store.count(work.tx, tenant_id, environment, provider) == 1
    if is_last and not force:
        using = await agents.active_agents_with(work, provider, limit=_NAMED + 1)
        if using:
            raise Conflict(
                f"Active agents use {provider} with it: {_named(using)}. Give them another provider, add another credential, "
                "or delete it with ?force=true.",
                code="credential-in-use",
            )
    await store.delete(work.tx, tenant_id, environment, credential.id)
    successor = await store.promote_newest(work.tx, tenant_id, environment, provider) if credential.is_default else None
    await _note(work, "deleted", credential, {"name": credential.name, "newDefault": successor, "forced": force})


async def note_test(work: Work, credential: ProviderCredential, test: CredentialTest) -> ProviderCredential:
    """Keep what a test found. Raises NotFound when the credential is gone by now."""
    await store.note_test(
        work.tx, credential.tenant_id, credential.environment, credential.id, revision=credential.revision, test=test
    )
    await _note(work, "tested", credential, {"outcome": test.outcome.value, "revision": credential.revision})
    return await get_credential(work, credential.id)


async def credentials_for(work: Work, config: AgentConfig, channel: Channel) -> tuple[SealedCredential, ...]:
    """The tenant's own access to the providers that an agent names for a channel, sealed."""
    return await credentials_of(work, providers_of(config, is_written=channel in WRITTEN_CHANNELS))


async def credentials_of(work: Work, providers: Iterable[str]) -> tuple[SealedCredential, ...]:
    """The tenant's own access to these providers, sealed."""
    found = await store.defaults(work.tx, work.caller.tenant_id, work.caller.environment, tuple(sorted(set(providers))))
    return tuple(credential.as_sealed for credential in found)


async def sealed_credential(
    work: Work, credential_id: ProviderCredentialId, environment: Environment
) -> SealedCredential | None:
    """One credential of the caller's tenant, sealed; None when there is none of that id."""
    found = await store.get(work.tx, work.caller.tenant_id, environment, credential_id)
    return None if found is None else found.as_sealed


async def owner_of(work: Work, credential_id: ProviderCredentialId) -> CredentialOwner | None:
    """Whose a credential is; runs as the system."""
    return await store.owner(work.tx, credential_id)


async def own_secrets(work: Work) -> dict[str, frozenset[str]]:
    """The names of the secrets that the tenant's own access to each provider has; providers without any are left out."""
    found = await store.held(work.tx, work.caller.tenant_id, work.caller.environment)
    return {one.provider: frozenset(one.secrets) for one in found}


def providers_of(config: AgentConfig, *, is_written: bool = False) -> frozenset[str]:
    """The providers that an agent names, as first choice or as fallback; of a written channel those of language models only."""
    named = {config.llm.provider.value, *(llm.provider.value for llm in config.fallbacks.llm)}
    if not is_written:
        named |= {config.voice.provider.value, *(voice.provider.value for voice in config.fallbacks.voice)}
        named |= {config.transcription.provider.value, *(one.provider.value for one in config.fallbacks.transcription)}
    return frozenset(named)


async def reseal_some(work: Work, keys: sealing.KeyService, *, past: str, limit: int) -> tuple[int, int, str | None]:
    """Put credentials that another key sealed under the current one; runs as the system.

    How many were, how many could not be opened, and the last id looked at: None at the end.
    """
    found = await store.sealed_otherwise(work.tx, keys.current, past=past, limit=limit)
    resealed = 0
    for one in found:
        context = sealing_context(one.tenant_id, one.environment, one.provider, one.id)
        try:
            sealed = sealing.rewrapped(keys, one.sealed, context=context)
        except sealing.CannotOpen:
            _log.error("provider_credential.unreadable", credential_id=one.id, sealed_with=one.sealed_with)
            continue
        await store.reseal(work.tx, one.tenant_id, one.id, sealed, sealing.sealed_with(sealed))
        resealed += 1
    return resealed, len(found) - resealed, found[-1].id if len(found) == limit else None


def _with_values(
    vault: Vault, before: ProviderCredential, secrets: dict[str, str] | None, options: dict[str, str] | None
) -> tuple[ProviderCredential, tuple[FieldError, ...]]:
    """The credential with other secrets or options, and what is wrong with them."""
    wanted = on_the_wire(before.options) if options is None else options
    if secrets is None:
        return _with_options(before, wanted)
    values, faults = checked_values(before.provider, secrets, wanted)
    if faults:
        return before, faults
    context = sealing_context(before.tenant_id, before.environment, before.provider, before.id)
    sealed, sealed_with = vault.seal(values, context)
    after = msgspec.structs.replace(
        before,
        options=values.options,
        hints=hints_of(values.secrets),
        sealed=sealed,
        sealed_with=sealed_with,
        revision=before.revision + 1,
        last_test=None,
    )
    return after, ()


def _with_options(
    before: ProviderCredential, options: dict[str, str]
) -> tuple[ProviderCredential, tuple[FieldError, ...]]:
    """Secrets stay sealed; whether the required ones are there was judged when they came.

    They go to no other server than they were given for: who may change an address may not know them.
    """
    values, faults = checked_values(before.provider, {}, options)
    faults = tuple(fault for fault in faults if not fault.pointer.startswith("/secrets"))
    if not faults and moved(before.provider, before.options, values.options):
        detail = "must be given again where the baseUrl changes"
        faults = (FieldError(pointer="/secrets", code="required", detail=detail),)
    if faults or values.options == before.options:
        return before, faults
    return msgspec.structs.replace(before, options=values.options, revision=before.revision + 1, last_test=None), ()


def _named(ids: list[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (" and others" if len(ids) > _NAMED else "")


def _changed(before: ProviderCredential, after: ProviderCredential) -> list[str]:
    pairs = {
        "name": before.name != after.name,
        "secrets": before.sealed != after.sealed,
        "options": before.options != after.options,
        "isDefault": before.is_default != after.is_default,
    }
    return [name for name, is_other in pairs.items() if is_other]


async def _note(work: Work, verb: str, credential: ProviderCredential, detail: dict[str, object]) -> None:
    target = Target(type="provider_credential", id=credential.id)
    await audit.note(
        work,
        action=f"provider_credential.{verb}",
        target=target,
        detail={"provider": credential.provider, "name": credential.name, **detail},
    )


def _name_faults(name: str) -> tuple[FieldError, ...]:
    if 1 <= len(name.strip()) <= 100 and name.isprintable():
        return ()
    return (FieldError(pointer="/name", code="bad-length", detail="must have 1 to 100 printable characters"),)
