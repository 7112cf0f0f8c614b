"""Rows of this slice, and the price list that comes with the software."""

from functools import cache
from pathlib import Path

import msgspec
from voisnap_domain.costs import Price

_CATALOGUE = Path(__file__).with_name("catalogue.json")


@cache
def catalogue() -> tuple[Price, ...]:
    """The committed price list with its sources. A price that changes gets another row with the day from which it counts; rows that were
    released stay as they are, for they are in databases already."""
    return msgspec.json.decode(_CATALOGUE.read_bytes(), type=tuple[Price, ...])


class CatalogueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How many prices were new to this database."""

    added: int
