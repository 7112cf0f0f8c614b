"""`/api/v1/models` and `/api/v1/voices`."""

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter, SkipValidation
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin_reading

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .records import CatalogueFilter, ModelKind
from .schemas import ModelView, VoiceView

InjectedReaches = NamedDependency[SkipValidation[usecases.Reaches]]

Provider = Annotated[str | None, QueryParameter(max_length=60, description="Only of this provider, such as openai")]
Language = Annotated[
    str | None, QueryParameter(max_length=40, description="Only for this language: a BCP 47 tag such as es-MX, or es")
]
Search = Annotated[str | None, QueryParameter(max_length=120, description="Part of the id or the name")]
Available = Annotated[bool | None, QueryParameter(description="Only what you can use now, or only what you can't")]


class ModelController(Controller):
    """Models of every provider."""

    path = "/api/v1/models"
    tags = ("Catalogue",)

    @get("/", guards=[requires("agents:read")], opt={"policy": API_READ_HEAVY})
    async def list_models(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        paging: InjectedPageQuery,
        kind: FromQuery[ModelKind | None] = None,
        provider: Provider = None,
        language: Language = None,
        search: Search = None,
        available: Available = None,
    ) -> Page[ModelView]:
        """List the models that agents may name: language models, recognisers and voices' models, with what they can do and cost.

        Agents may name others too: the catalogue is as old as its `source`.
        """
        wanted = CatalogueFilter(kind=kind, provider=provider, language=language, search=search, is_available=available)
        async with begin_reading(database, caller) as work:
            found = usecases.models(wanted, await reaches.of(work))
            prices = await usecases.list_prices(work)
        page = found[paging.offset : paging.offset + paging.page_size]
        views = [ModelView.of(model, is_usable, usecases.quotes_of(model, prices)) for model, is_usable in page]
        return Page.of(views, paging, len(found))


class VoiceController(Controller):
    """Voices of every provider."""

    path = "/api/v1/voices"
    tags = ("Catalogue",)

    @get("/", guards=[requires("agents:read")], opt={"policy": API_READ_HEAVY})
    async def list_voices(
        self,
        caller: InjectedCaller,
        database: InjectedDatabase,
        reaches: InjectedReaches,
        paging: InjectedPageQuery,
        provider: Provider = None,
        language: Language = None,
        search: Search = None,
        available: Available = None,
    ) -> Page[VoiceView]:
        """List the voices that agents may speak with. Voices of your own account with a provider work too, though they are not listed."""
        wanted = CatalogueFilter(provider=provider, language=language, search=search, is_available=available)
        async with begin_reading(database, caller) as work:
            found = usecases.voices(wanted, await reaches.of(work))
            prices = await usecases.list_prices(work)
        page = found[paging.offset : paging.offset + paging.page_size]
        views = [
            VoiceView.of(voice, usecases.model_of(voice), is_usable, usecases.quotes_of_voice(voice, prices))
            for voice, is_usable in page
        ]
        return Page.of(views, paging, len(found))
