"""The SQL of `prices`."""

from datetime import date

from voisnap_domain.costs import Price
from voisnap_kit.postgres import Tx


async def in_force(tx: Tx, *, on: date) -> list[Price]:
    """Every price that counts on a day."""
    return await tx.all(
        Price,
        """
        SELECT DISTINCT ON (kind, provider, model) kind, provider, model, usd
          FROM prices
         WHERE valid_from <= %(on)s
         ORDER BY kind, provider, model, valid_from DESC
        """,
        on=on,
    )
