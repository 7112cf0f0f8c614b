"""Keeps the price list that comes with the software in the database."""

from voisnap_domain.ids import TenantId
from voisnap_domain.tenants import Environment
from voisnap_kit.postgres import Database
from voisnap_kit.reconcile import Reconciler
from voisnap_kit.work import Caller, begin_as_system

from . import usecases
from .records import CatalogueStatus


def price_catalogue(database: Database) -> Reconciler[CatalogueStatus]:
    """Adds prices that are new in this release."""

    async def task() -> CatalogueStatus:
        async with begin_as_system(database, Caller.system(TenantId(""), Environment.LIVE)) as work:
            return await usecases.keep_catalogue(work)

    return Reconciler("price-catalogue", 3600.0, task)
