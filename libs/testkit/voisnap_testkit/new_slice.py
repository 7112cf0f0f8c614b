"""Writes the files of a new slice: `python -m voisnap_testkit.new_slice api things`.

The files run as they are: one endpoint that lists nothing, its use case, its statement and a test. Nothing that exists is overwritten.
"""

import re
import sys
from pathlib import Path
from string import Template
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[3]

FILES = {
    "__init__.py": '"""$Title: what they are, in one sentence."""\n',
    "schemas.py": '''"""The wire form of $plural; camelCase ends here."""

from datetime import datetime

import msgspec

from . import records


class ${Kind}View(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the $plural, as clients see it."""

    id: str
    created_at: datetime

    @staticmethod
    def of(record: records.$Kind) -> "${Kind}View":
        """The wire form of a record."""
        return ${Kind}View(id=record.id, created_at=record.created_at)
''',
    "records.py": '''"""What this slice keeps."""

from datetime import datetime

import msgspec


class $Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `$plural`."""

    id: str
    created_at: datetime
''',
    "store.py": '''"""The SQL of `$plural`, private to this slice."""

from voisnap_kit.postgres import Tx

from .records import $Kind


async def page(tx: Tx, tenant_id: str, environment: str, *, limit: int, offset: int) -> list[$Kind]:
    """The newest first."""
    return await tx.all(
        $Kind,
        """
        SELECT id, created_at
          FROM $plural
         WHERE tenant_id = %(tenant_id)s AND environment = %(environment)s
         ORDER BY created_at DESC, id DESC
         LIMIT %(limit)s OFFSET %(offset)s
        """,
        tenant_id=tenant_id,
        environment=environment,
        limit=limit,
        offset=offset,
    )
''',
    "usecases.py": '''"""What can be done with $plural."""

from voisnap_kit.work import Work

from . import store
from .records import $Kind


async def list_$plural(work: Work, *, limit: int, offset: int) -> list[$Kind]:
    """One page of the caller's $plural."""
    caller = work.caller
    return await store.page(work.tx, caller.tenant_id, caller.environment, limit=limit, offset=offset)
''',
    "routes.py": '''"""`/api/v1/$path`: add the controller to the service's app."""

from litestar import Controller, get

from .schemas import ${Kind}View


class ${Kind}Controller(Controller):
    """$Title."""

    path = "/api/v1/$path"
    tags = ("$Title",)

    @get("/")
    async def list_$plural(self) -> list[${Kind}View]:
        """List them. Give it its caller, database and paging as the other slices do."""
        return []
''',
}


def main(arguments: list[str]) -> None:
    """Write the slice, or say what is wrong with the request and exit with 1."""
    service, name = (*arguments, "", "")[:2]
    package = ROOT / "services" / service / f"voisnap_{service}"
    if not service or not package.is_dir():
        _fail("name a service: make new-slice SERVICE=api NAME=things")
    if not re.fullmatch(r"[a-z][a-z_]*s", name):
        _fail("name the slice by a plural noun in snake_case: make new-slice SERVICE=api NAME=things")
    folder = package / name
    if folder.exists():
        _fail(f"{folder.relative_to(ROOT)} exists already.")
    words = {
        "plural": name,
        "path": name.replace("_", "-"),
        "Title": name.replace("_", " ").capitalize(),
        "Kind": "".join(word.capitalize() for word in _singular(name).split("_")),
    }
    folder.mkdir()
    for file, text in FILES.items():
        (folder / file).write_text(Template(text).substitute(words))
    sys.stdout.write(
        f"{folder.relative_to(ROOT)}: now its migration, its place in the app, its line in .importlinter, and its tests.\n"
    )


def _singular(noun: str) -> str:
    if noun.endswith("ies"):
        return f"{noun[:-3]}y"
    return noun[:-1]


def _fail(text: str) -> NoReturn:
    sys.stderr.write(f"voisnap: {text}\n")
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
