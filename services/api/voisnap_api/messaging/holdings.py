"""What other slices ask of messages when something goes away that they hang on."""

from voisnap_domain.ids import ConversationId
from voisnap_kit.work import Work

from . import store


async def let_go(work: Work, conversation_id: ConversationId) -> None:
    """Forget what was written in a conversation. Its thread stays: the person may write again."""
    await store.delete_of_conversation(work.tx, work.caller.tenant_id, work.caller.environment, conversation_id)
