"""`/api/v1/provider-credentials`."""

from typing import Annotated, TypeVar

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter, SkipValidation
from msgspec import UnsetType
from voisnap_domain.ids import ProviderCredentialId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin

from voisnap_api.catalogue.routes import InjectedReaches
from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .clients import Prober
from .schemas import ProviderCredentialBody, ProviderCredentialPatch, ProviderCredentialView, ProviderName
from .usecases import Vault

InjectedVault = NamedDependency[SkipValidation[Vault]]
InjectedProber = NamedDependency[SkipValidation[Prober]]

T = TypeVar("T")

_NO_STORE = {"Cache-Control": "no-store"}


class ProviderCredentialController(Controller):
    """A tenant's own access to AI providers."""

    path = "/api/v1/provider-credentials"
    tags = ("Provider credentials",)

    @post("/", guards=[requires("provider-credentials:write")])
    async def create(
        self,
        data: JSONBody[ProviderCredentialBody],
        caller: InjectedCaller,
        database: InjectedDatabase,
        credential_vault: InjectedVault,
        reaches: InjectedReaches,
    ) -> Response[ProviderCredentialView]:
        """Keep your own access to a provider, sealed. Sessions of this environment use the provider's default one from now on.

        Secrets are never shown again, only the last four characters of each.
        """
        async with begin(database, caller) as work:
            credential = await usecases.create_credential(
                work,
                credential_vault,
                provider=data.provider.value,
                name=data.name,
                secrets=data.secrets,
                options=data.options,
                is_default=data.is_default,
            )
        reaches.forget(caller)
        headers = {"Location": f"/api/v1/provider-credentials/{credential.id}", **_NO_STORE}
        return Response(ProviderCredentialView.of(credential), status_code=201, headers=headers)

    @get("/", guards=[requires("provider-credentials:read")], opt={"policy": API_READ_HEAVY})
    async def list_credentials(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        paging: InjectedPageQuery,
        provider: FromQuery[ProviderName | None] = None,  # type: ignore[valid-type]
    ) -> Page[ProviderCredentialView]:
        """List credentials, newest first, without their secrets."""
        wanted = None if provider is None else provider.value
        async with begin(database, caller) as work:
            found, total = await usecases.list_credentials(work, wanted, limit=paging.page_size, offset=paging.offset)
        return Page.of([ProviderCredentialView.of(one) for one in found], paging, total)

    @get("/{credential_id:str}", guards=[requires("provider-credentials:read")])
    async def read(
        self, credential_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> ProviderCredentialView:
        """One credential, without its secrets."""
        async with begin(database, caller) as work:
            return ProviderCredentialView.of(await usecases.get_credential(work, ProviderCredentialId(credential_id)))

    @patch("/{credential_id:str}", guards=[requires("provider-credentials:write")])
    async def change(
        self,
        credential_id: FromPath[str],
        data: JSONBody[ProviderCredentialPatch],
        caller: InjectedCaller,
        database: InjectedDatabase,
        credential_vault: InjectedVault,
        reaches: InjectedReaches,
    ) -> ProviderCredentialView:
        """Rename a credential, replace its secrets or options, or make it the default one of its provider.

        New sessions use what is new; those that run keep what they began with.
        """
        async with begin(database, caller) as work:
            credential = await usecases.change_credential(
                work,
                credential_vault,
                ProviderCredentialId(credential_id),
                name=_given(data.name),
                secrets=_given(data.secrets),
                options=_given(data.options),
                is_default=_given(data.is_default),
            )
        reaches.forget(caller)
        return ProviderCredentialView.of(credential)

    @delete("/{credential_id:str}", guards=[requires("provider-credentials:write")])
    async def remove(
        self,
        credential_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        force: Annotated[
            bool, QueryParameter(description="Also when active agents lose their only access to the provider")
        ] = False,
    ) -> None:
        """Delete a credential. The newest other one of its provider becomes the default one; without one, the platform's own access is used."""
        async with begin(database, caller) as work:
            await usecases.delete_credential(work, ProviderCredentialId(credential_id), force=force)
        reaches.forget(caller)

    @post("/{credential_id:str}/test", status_code=200, guards=[requires("provider-credentials:write")])
    async def test(
        self,
        credential_id: FromPath[str],
        caller: InjectedCaller,
        database: InjectedDatabase,
        prober: InjectedProber,
    ) -> ProviderCredentialView:
        """Ask the provider something small with a credential: one word of a model, one word of a voice, a moment of silence to a recogniser, of
        a carrier or a messaging network the account itself.

        `lastTest` of the answer says what came of it. Costs a fraction of a cent.
        """
        async with begin(database, caller) as work:
            credential = await usecases.get_credential(work, ProviderCredentialId(credential_id))
        test = await prober.test(credential)
        async with begin(database, caller) as work:
            return ProviderCredentialView.of(await usecases.note_test(work, credential, test))


def _given(value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
