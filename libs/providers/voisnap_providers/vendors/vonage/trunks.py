"""SIP at Vonage: a number's calls go to one SIP address; calls out come with the account's own key and secret.

https://developer.vonage.com/en/voice/sip/overview
"""

from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.numbers import HeldNumber
from voisnap_providers.ports.trunks import Keep, PartReport, Parts, TrunkDesk, TrunkPlan, Unfit
from voisnap_providers.vendors.carrier_http import CarrierHttp, Rejected

from .calls import PROVIDER
from .numbers import REST_URL

DOMAIN = "sip.nexmo.com"


class VonageTrunks(TrunkDesk):
    """Trunks of one account. Vonage knows nothing of them but where each number's calls go."""

    def __init__(self, *, api_key: str, api_secret: str, application_id: str, rest_url: str = REST_URL) -> None:
        self._application_id = application_id
        self._http = CarrierHttp(PROVIDER, base_url=rest_url, auth=(api_key, api_secret))

    def check(self, plan: TrunkPlan, parts: Parts) -> None:
        del parts
        if len(plan.origination) != 1:
            raise Unfit("origination", "Vonage sends a number's calls to exactly one SIP address")
        if plan.username is not None:
            raise Unfit(
                "credentials",
                f"Vonage has no credentials for a trunk: your servers call out at {DOMAIN} with the account's API key and secret",
            )
        if plan.allowed_ips:
            raise Unfit("allowed_ips", "Vonage lets a trunk in by the account's API key and secret, not by address")

    async def apply(self, plan: TrunkPlan, parts: Parts, keep: Keep) -> Parts:
        """There is nothing to make before there is a number."""
        made = {**parts, "sip_uri": plan.origination[0].sip_uri}
        if made != dict(parts):
            await keep(made)
        return made

    def domain(self, parts: Parts) -> str:
        del parts
        return DOMAIN

    async def attach(self, parts: Parts, number: HeldNumber, plan: TrunkPlan) -> None:
        """The application stays linked: its texts go on, and a forwarding goes before its calls."""
        del parts
        form = {
            "country": number.country,
            "msisdn": number.id,
            "app_id": self._application_id,
            "voiceCallbackType": "sip",
            "voiceCallbackValue": plan.origination[0].sip_uri,
        }
        await self._update(form)

    async def detach(self, parts: Parts, number: HeldNumber) -> None:
        del parts
        await self._update({"country": number.country, "msisdn": number.id, "app_id": self._application_id})

    async def report(self, plan: TrunkPlan, parts: Parts, numbers: tuple[HeldNumber, ...]) -> tuple[PartReport, ...]:
        del plan, parts
        lacking = [one.phone_number for one in numbers if one.settings.get("voiceCallbackType") != "sip"]
        detail = f"Not forwarded: {', '.join(lacking)}." if lacking else f"{len(numbers)} numbers are on it."
        return (PartReport(part="numbers", is_well=not lacking, detail=detail),)

    async def remove(self, parts: Parts) -> None:
        """Without its numbers nothing is left of it."""

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _update(self, form: dict[str, str]) -> None:
        try:
            told = await self._http.asked("POST", "/number/update", form=form)
        except Rejected as rejected:
            raise self._fault(rejected.status) from None
        if not isinstance(told, dict) or told.get("error-code") != "200":
            raise self._fault(200)

    def _fault(self, status: int) -> ProviderError:
        return self._http.fault(f"vonage answered {status} and did not change the number.", retryable=False)


def desk(account: Account) -> VonageTrunks:
    """The trunks of an account."""
    return VonageTrunks(
        api_key=account.option("api_key"),
        api_secret=account.secret("api_secret"),
        application_id=account.option("application_id"),
        rest_url=account.option("rest_url", REST_URL),
    )
