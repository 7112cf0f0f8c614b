"""Why a carrier does not rent out a number, by the words of its refusal. They are read and never repeated: they name numbers and people."""

from voisnap_providers.ports.numbers import (
    DocumentsMissing,
    FundsMissing,
    NumberRefused,
    NumberUnavailable,
)

_FUNDS = ("balance", "funds", "credit", "payment", "billing", "trial account")
_DOCUMENTS = ("address", "bundle", "regulat", "requirement", "identity", "documentation", "compliance")
_GONE = ("not available", "unavailable", "already", "reserved", "not found", "no longer", "not in inventory", "taken")


def gone(provider: str) -> NumberUnavailable:
    return NumberUnavailable(f"{provider} has this number no more. Search again and take another one.")


def funds(provider: str) -> FundsMissing:
    return FundsMissing(
        f"The account with {provider} has not enough money for this number: top it up there and repeat."
    )


def documents(provider: str) -> DocumentsMissing:
    return DocumentsMissing(
        f"Numbers of this kind want an address or papers first. Give them to {provider}, buy the number there, and add it here with "
        '"source": "existing".'
    )


def refusal(
    provider: str, status: int, code: str, words: str
) -> NumberRefused | NumberUnavailable | FundsMissing | DocumentsMissing:
    """What a refusal of a purchase means. `code` is the carrier's own and is told; `words` are its text, from which only the kind is taken."""
    said = words.lower()
    if status == 402 or any(word in said for word in _FUNDS):
        return funds(provider)
    if any(word in said for word in _DOCUMENTS):
        return documents(provider)
    if any(word in said for word in _GONE):
        return gone(provider)
    return NumberRefused(f"{provider} does not rent out this number (answer {status}, error {code or 'none'}).")
