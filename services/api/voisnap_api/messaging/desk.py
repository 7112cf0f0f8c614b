"""Answers what messaging networks post: believed by its signature alone, taken down in one transaction, and answered at once."""

from prometheus_client import Counter
from voisnap_domain.errors import Conflict, DomainError, Forbidden
from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, Clock, Work, begin_as_system, utc_now
from voisnap_providers.messengers import NETWORKS, Messenger, is_signed
from voisnap_providers.ports.messaging import AnswerDocument, BadSignature, BadWebhook, WebhookRequest

from .inbound import take_down
from .networks import Networks

_NOBODY = Caller.system(TenantId(""), Environment.LIVE)

_EVENTS = Counter("voisnap_message_webhooks_total", "What messaging networks posted", ["provider", "outcome"])

_log = log.get(__name__)


class MessageDesk:
    """The networks' one counterpart in this process."""

    def __init__(self, database: Database, networks: Networks, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._networks = networks
        self._clock = clock

    async def answer(
        self, provider: str, account: str, request: WebhookRequest, *, about: str | None = None
    ) -> AnswerDocument:
        """What the network is answered. `about` is our message that the address names.

        Raises Forbidden `bad-signature` for everything that is not the network's, DomainError `not-understood` for signed nonsense.
        """
        if not is_signed(provider, request):
            raise _refused(provider, account, "not signed")
        messenger, tenant_id = await self._found(provider, account)
        greeting = messenger.webhooks.handshake(request)
        if greeting is not None:
            _EVENTS.labels(provider, "handshake").inc()
            return greeting
        try:
            messenger.webhooks.verify(request, now=self._clock().timestamp())
        except BadSignature as error:
            raise _refused(provider, account, str(error)) from None
        try:
            events = messenger.webhooks.read(request)
        except BadWebhook as error:
            _EVENTS.labels(provider, "not_understood").inc()
            _log.warning("message.not_understood", provider=provider, account=account, reason=str(error))
            raise DomainError("The network's documentation knows no such request.", code="not-understood") from None
        if events:
            async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
                await take_down(work, provider, account, events, about=about, tenant_id=tenant_id)
        _EVENTS.labels(provider, "taken").inc()
        return messenger.webhooks.answer()

    async def _found(self, provider: str, account: str) -> tuple[Messenger, TenantId | None]:
        """The network, and the tenant whose account it is, if it is one's own. Nobody learns which accounts there are."""
        try:
            if provider not in NETWORKS:
                raise Conflict("There is no such network.")
            async with begin_as_system(self._database, _NOBODY, clock=self._clock) as work:
                owner = await self._networks.accounts.owner(work, account)
                if owner is None:
                    raise Conflict("There is no such account.")
                caller = Caller.system(owner.tenant_id or TenantId(""), owner.environment)
                own = Work(tx=work.tx, caller=caller, now=work.now, new_id=work.new_id)
                messenger = await self._networks.messenger(own, provider, account, owner.environment)
                return messenger, owner.tenant_id
        except DomainError:
            raise _refused(provider, account, "no such account") from None


def _refused(provider: str, account: str, reason: str) -> Forbidden:
    _EVENTS.labels(provider if provider in NETWORKS else "unknown", "bad_signature").inc()
    _log.warning("message.bad_signature", provider=provider[:20], account=account[:60], reason=reason)
    return Forbidden("The request is not signed by this network for this account.", code="bad-signature")
