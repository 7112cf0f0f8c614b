"""Tests of agents by telephone: over the sandbox's simulated carriers, where somebody picks up who says what the test wants."""

from pathlib import Path

import httpx
import msgspec
from voisnap_domain.calls import CarrierLeg
from voisnap_domain.errors import Conflict
from voisnap_domain.rehearsals import Rehearsal
from voisnap_domain.sessions import SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_kit import log
from voisnap_kit.work import Work
from voisnap_providers.carriers import SIMULATOR, CarrierUrls
from voisnap_providers.errors import ProviderUnconfigured
from voisnap_providers.ports.carrier import CallControl, Dial, StreamTarget

from voisnap_api.carrier_accounts import CarrierAccounts
from voisnap_api.phone_numbers.usecases import line_for_calls

_TIMEOUT = httpx.Timeout(3.0, connect=1.0)
_RING_SECONDS = 1.0
_LENGTH_MARGIN = 60
_SPOKEN = "en"
"""The only language of the simulated telephones' voice."""

_log = log.get(__name__)


class _Own(msgspec.Struct, frozen=True):
    secrets: dict[str, str]
    options: dict[str, str]


class _File(msgspec.Struct, frozen=True):
    simulator: _Own


class RehearsalLines:
    """The telephone side of tests. `accounts_file` is the simulator's, which also says how telephones are told what to do."""

    def __init__(self, carriers: CarrierAccounts, urls: CarrierUrls, accounts_file: Path | None) -> None:
        self._carriers = carriers
        self._urls = urls
        self._accounts_file = accounts_file

    async def leg_for(self, work: Work, plan: SessionPlan, test_id: str) -> tuple[CarrierLeg, CallControl] | None:
        """The carrier's side of a test: the agent's own number in the sandbox. None where it has none, where no carriers are simulated here,
        and where nobody there speaks the agent's language: then the caller is simulated without a carrier."""
        if work.caller.environment is not Environment.SANDBOX or self._accounts_file is None:
            return None
        if plan.agent.config.transcription.language.partition("-")[0].lower() != _SPOKEN:
            return None
        try:
            line = await line_for_calls(work, plan.agent.agent_id, None)
            carrier = await self._carriers.carrier(work, line.provider, line.account, Environment.SANDBOX)
        except (Conflict, ProviderUnconfigured):
            return None
        leg = CarrierLeg(provider=line.provider, account=SIMULATOR, number=line.phone_number, attempt_id=test_id)
        return leg, carrier.control

    async def expects(self, number: str, rehearsal: Rehearsal) -> bool:
        """Tell the simulated telephone what its owner says when he picks up; False when nobody is there to be told."""
        known = self._simulator()
        if known is None:
            return False
        steps = [{"do": "say", "text": line} for line in rehearsal.lines]
        body = {"behaviour": {"answer": "human", "steps": steps, "ringSeconds": _RING_SECONDS}}
        try:
            async with httpx.AsyncClient(
                base_url=known.options["url"],
                headers={"Authorization": f"Bearer {known.secrets['bearer']}"},
                timeout=_TIMEOUT,
                trust_env=False,
            ) as client:
                answer = await client.put(f"/simulator/telephones/{number}", json=body)
        except (httpx.HTTPError, KeyError) as error:
            _log.warning("agent_test.no_simulator", error=type(error).__name__)
            return False
        return answer.is_success

    def order(self, plan: SessionPlan, leg: CarrierLeg, test_id: str, number: str, token: str) -> Dial:
        """What the carrier is asked."""
        session_id = plan.session_id
        return Dial(
            attempt_id=test_id,
            callee=number,
            caller=leg.number,
            target=StreamTarget(
                url=self._urls.media(leg.provider),
                token=token,
                resume_url=self._urls.resume(leg.provider, leg.account, session_id=session_id),
            ),
            events_url=self._urls.events(leg.provider, leg.account, session_id=session_id),
            longest_seconds=plan.agent.config.max_duration_seconds + _LENGTH_MARGIN,
        )

    def _simulator(self) -> _Own | None:
        try:
            return msgspec.json.decode(self._accounts_file.read_bytes(), type=_File).simulator  # type: ignore[union-attr]
        except (AttributeError, OSError, msgspec.MsgspecError):
            return None
