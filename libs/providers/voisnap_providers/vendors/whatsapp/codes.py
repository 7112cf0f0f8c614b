"""Codes of WhatsApp's refusals by their meaning (https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes)."""

from collections.abc import Mapping

from voisnap_domain.texting import MessageFailure

_FAILURES: Mapping[MessageFailure, tuple[int, ...]] = {
    MessageFailure.OPTED_OUT: (131050,),
    MessageFailure.UNREACHABLE: (131026, 131021, 131030, 131062, 137000),
    MessageFailure.OUTSIDE_WINDOW: (131047,),
    MessageFailure.TEMPLATE: (132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132018, 132068, 132069),
    MessageFailure.RATE_LIMITED: (4, 80007, 130429, 131048, 131056, 131057, 131064),
    MessageFailure.FILTERED: (130472, 131049, 131063, 368),
    MessageFailure.CONTENT: (100, 131008, 131009, 131051, 131052, 131053),
    MessageFailure.SENDER: (131037, 131045, 133010, 33),
    MessageFailure.ACCOUNT: (3, 10, 131005, 131031, 131042, 131044, 130497),
}
_BY_CODE = {str(code): failure for failure, codes in _FAILURES.items() for code in codes}
AUTH = frozenset({0, 190})
"""The token is no longer good."""
NO_HANDSHAKE = 2200
"""An address for webhooks was asked whether it is ours, and did not say so."""
LATER = frozenset({1, 2, 131000, 131016, 133004, 135000})
"""Faults of Meta's own. What it refuses with them it has not sent."""


def failure_of(code: str) -> MessageFailure:
    """What a code means; 200 to 299 are permissions that the token lacks."""
    if code.isdecimal() and len(code) == 3 and code.startswith("2"):
        return MessageFailure.ACCOUNT
    return _BY_CODE.get(code, MessageFailure.UNKNOWN)
