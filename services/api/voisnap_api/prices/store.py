"""The SQL of `prices` and `price_markups`."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from voisnap_domain.costs import LegKind, Markup, Price
from voisnap_domain.ids import TenantId
from voisnap_kit.postgres import Tx


async def in_force(tx: Tx, *, on: date) -> list[Price]:
    """Every price that counts on a day: an operator's own before that of the catalogue."""
    return await tx.all(
        Price,
        """
        SELECT DISTINCT ON (kind, provider, model) kind, provider, model, usd, unit, valid_from, source
          FROM prices
         WHERE valid_from <= %(on)s
         ORDER BY kind, provider, model, origin = 'operator' DESC, valid_from DESC
        """,
        on=on,
    )


async def in_force_of(tx: Tx, providers: tuple[str, ...], *, on: date) -> list[Price]:
    """The prices of some providers that count on a day."""
    return await tx.all(
        Price,
        """
        SELECT DISTINCT ON (kind, provider, model) kind, provider, model, usd, unit
          FROM prices
         WHERE valid_from <= %(on)s AND provider = ANY (%(providers)s::text[])
         ORDER BY kind, provider, model, origin = 'operator' DESC, valid_from DESC
        """,
        on=on,
        providers=providers,
    )


async def how_many(tx: Tx) -> int:
    """How many prices there are, past ones included."""
    return await tx.one(int, "SELECT count(*) FROM prices")


async def add_missing(tx: Tx, prices: Iterable[Price]) -> None:
    """Store prices of the catalogue; those that are there stay as they are."""
    await tx.exec_many(
        """
        INSERT INTO prices (kind, provider, model, valid_from, usd, unit, source)
        VALUES (%(kind)s, %(provider)s, %(model)s, %(valid_from)s, %(usd)s, %(unit)s, %(source)s)
        ON CONFLICT DO NOTHING
        """,
        [_row(price) for price in prices],
    )


async def add_operators(tx: Tx, price: Price, *, by: str | None) -> bool:
    """Store an operator's own price; False when there is one of that day already."""
    added = await tx.exec(
        """
        INSERT INTO prices (kind, provider, model, valid_from, usd, unit, source, origin, created_by)
        VALUES (%(kind)s, %(provider)s, %(model)s, %(valid_from)s, %(usd)s, %(unit)s, %(source)s, 'operator', %(by)s)
        ON CONFLICT DO NOTHING
        """,
        **_row(price),
        by=by,
    )
    return added == 1


async def markups(tx: Tx, tenant_id: TenantId, *, on: date) -> list[Markup]:
    """What a tenant pays beyond the list price on a day."""
    return await tx.all(
        Markup,
        """
        SELECT DISTINCT ON (kind) kind, percent
          FROM price_markups
         WHERE tenant_id = %(tenant_id)s AND valid_from <= %(on)s
         ORDER BY kind, valid_from DESC
        """,
        tenant_id=tenant_id,
        on=on,
    )


async def put_markup(tx: Tx, tenant_id: TenantId, kind: LegKind, percent: Decimal, *, valid_from: date) -> None:
    """Store what a tenant pays beyond the list price of a kind from a day on."""
    await tx.exec(
        """
        INSERT INTO price_markups (tenant_id, kind, valid_from, percent)
        VALUES (%(tenant_id)s, %(kind)s, %(valid_from)s, %(percent)s)
        ON CONFLICT (tenant_id, kind, valid_from) DO UPDATE SET percent = excluded.percent
        """,
        tenant_id=tenant_id,
        kind=kind,
        valid_from=valid_from,
        percent=percent,
    )


def _row(price: Price) -> dict[str, object]:
    return {
        "kind": price.kind,
        "provider": price.provider,
        "model": price.model,
        "valid_from": price.valid_from,
        "usd": price.usd,
        "unit": price.counted_in,
        "source": price.source,
    }
