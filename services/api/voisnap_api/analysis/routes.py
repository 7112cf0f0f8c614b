"""`/api/v1/conversations/{id}/analysis` and `/api/v1/analysis`."""

from litestar import Controller, get, post
from litestar.params import FromPath
from voisnap_domain.ids import ConversationId
from voisnap_kit.http import InjectedPageQuery, Page
from voisnap_kit.work import begin

from voisnap_api.gate import API_READ_HEAVY, InjectedCaller, InjectedDatabase, requires

from . import usecases
from .schemas import AnalysisStateView, AnalysisView, FailureView


class ConversationAnalysisController(Controller):
    """What was found out about a conversation."""

    path = "/api/v1/conversations"
    tags = ("Conversations",)

    @get("/{conversation_id:str}/analysis", guards=[requires("conversations:read")])
    async def analysis(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> AnalysisView:
        """Get the analysis, which is there a few seconds after the end. 404 `analysis-not-available` says why there is none."""
        async with begin(database, caller) as work:
            return AnalysisView.of(await usecases.get_analysis(work, ConversationId(conversation_id)))

    @post("/{conversation_id:str}/analysis/retry", status_code=202, guards=[requires("conversations:write")])
    async def retry_analysis(
        self, conversation_id: FromPath[str], caller: InjectedCaller, database: InjectedDatabase
    ) -> AnalysisStateView:
        """Analyse the conversation once more, after a failure or to replace what was found."""
        async with begin(database, caller) as work:
            return AnalysisStateView.of(await usecases.retry(work, ConversationId(conversation_id)))


class AnalysisController(Controller):
    """Analyses of all conversations."""

    path = "/api/v1/analysis"
    tags = ("Conversations",)

    @get("/failures", guards=[requires("conversations:read")], opt={"policy": API_READ_HEAVY})
    async def failures(
        self, caller: InjectedCaller, database: InjectedDatabase, paging: InjectedPageQuery
    ) -> Page[FailureView]:
        """List the analyses that were given up, the latest first."""
        async with begin(database, caller) as work:
            found, total = await usecases.list_failures(work, limit=paging.page_size, offset=paging.offset)
        return Page.of([FailureView.of(failure) for failure in found], paging, total)
