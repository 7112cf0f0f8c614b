"""What conversations cost."""

from datetime import UTC, datetime

from voisnap_domain.costs import Costs, Usage, priced
from voisnap_kit.postgres import Tx

from . import store


async def price(tx: Tx, usage: Usage, *, at: datetime) -> Costs:
    """What `usage` costs by the catalogue of its day."""
    return priced(usage, tuple(await store.in_force(tx, on=at.astimezone(UTC).date())))
