"""Transfers on the wire."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta
from voisnap_domain.agent_rules import phone_number_fault, sip_address_fault
from voisnap_domain.calls import TransferMode, TransferStage
from voisnap_domain.errors import FieldError, Invalid
from voisnap_domain.tenants import Environment
from voisnap_domain.transfers import MAX_RING_SECONDS, MAX_SUMMARY, MIN_RING_SECONDS

from voisnap_api.destinations import NOT_ALLOWED, NOT_ALLOWED_DETAIL, is_refused
from voisnap_api.wire import Body, View, instant

from .records import StoredTransfer, WantedTransfer

MAX_TARGET = 100


class TransferCallBody(Body, frozen=True, kw_only=True):
    """To whom: one of the agent's transfer targets by name, a `phoneNumber` (E.164) or a `sipUri`. What is left out is the agent's own
    setting. `summary` is what whoever takes a warm transfer is told first; without one it is made of the conversation."""

    target: str | None = None
    phone_number: str | None = None
    sip_uri: str | None = None
    mode: TransferMode | None = None
    summary: str | None = None
    ring_seconds: Annotated[int, Meta(ge=0, le=3600)] | None = None

    def wanted(self, environment: Environment) -> WantedTransfer:
        """The transfer. Raises Invalid with every wrong field."""
        faults = tuple(self._faults(environment))
        if faults:
            raise Invalid(faults)
        return WantedTransfer(
            target=self.target or "",
            address=self.phone_number or self.sip_uri or "",
            mode=self.mode,
            summary=self.summary,
            ring_seconds=self.ring_seconds,
        )

    def _faults(self, environment: Environment) -> list[FieldError]:
        found: list[FieldError] = []
        given = [one for one in (self.target, self.phone_number, self.sip_uri) if one is not None]
        if len(given) != 1:
            found.append(_fault("", "required", "needs exactly one of target, phoneNumber and sipUri"))
        if self.target is not None and not 1 <= len(self.target) <= MAX_TARGET:
            found.append(_fault("/target", "too-long", f"must have 1 to {MAX_TARGET} characters"))
        if self.phone_number is not None and (fault := phone_number_fault(self.phone_number)):
            found.append(_fault("/phoneNumber", "wrong-format", fault))
        elif self.phone_number is not None and is_refused(environment, self.phone_number):
            found.append(_fault("/phoneNumber", NOT_ALLOWED, NOT_ALLOWED_DETAIL))
        if self.sip_uri is not None and (fault := sip_address_fault(self.sip_uri)):
            found.append(_fault("/sipUri", "wrong-format", fault))
        if self.summary is not None and len(self.summary) > MAX_SUMMARY:
            found.append(_fault("/summary", "too-long", f"must have at most {MAX_SUMMARY} characters"))
        if self.ring_seconds is not None and not MIN_RING_SECONDS <= self.ring_seconds <= MAX_RING_SECONDS:
            found.append(
                _fault("/ringSeconds", "out-of-range", f"must be from {MIN_RING_SECONDS} to {MAX_RING_SECONDS}")
            )
        return found


class TransferStarted(View, frozen=True, kw_only=True):
    """A transfer that has begun: the caller is being told. What becomes of it is in the conversation's transfers."""

    transfer_id: str
    conversation_id: str
    status: TransferStage


class TransferView(View, frozen=True, kw_only=True):
    """A transfer and how far it got. `requestedBy` is `agent` or `api`. `cause` says why it came to nothing: `busy`, `no_answer`, `refused`,
    `machine`, `undecided`, `canceled`, `failed`, `caller_hung_up`, `lost`."""

    id: str
    conversation_id: str
    mode: TransferMode
    target: str
    destination: str
    requested_by: str
    reason: str | None
    status: TransferStage
    cause: str | None
    started_at: str
    answered_at: str | None
    ended_at: str | None

    @classmethod
    def of(cls, transfer: StoredTransfer) -> "TransferView":
        return cls(
            id=transfer.id,
            conversation_id=transfer.conversation_id,
            mode=transfer.mode,
            target=transfer.target,
            destination=transfer.destination,
            requested_by=transfer.requested_by,
            reason=transfer.reason or None,
            status=transfer.stage,
            cause=transfer.cause or None,
            started_at=instant(transfer.started_at),
            answered_at=_instant(transfer.answered_at),
            ended_at=_instant(transfer.ended_at),
        )


class TransfersView(View, frozen=True, kw_only=True):
    """The transfers of one conversation, the first one first."""

    conversation_id: str
    transfers: tuple[TransferView, ...]


def _instant(moment: datetime | None) -> str | None:
    return None if moment is None else instant(moment)


def _fault(pointer: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer, code=code, detail=detail)
