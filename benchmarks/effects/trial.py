"""One virtual call from its seed to its verdict, and what the databases say afterwards."""

import asyncio
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.effects import clock
from benchmarks.effects.desk import ParcelDesk, pickups
from benchmarks.effects.faults import nowhere
from benchmarks.effects.log import CallLog
from benchmarks.effects.outside import Deed, DeedBook
from benchmarks.effects.plan import CallPlan
from benchmarks.effects.referee import EffectRow, Tables, Truth, Verdict, judge
from benchmarks.effects.world import Place, World
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import create_async_engine

from talkspurt.retail.schema import Row
from talkspurt.retail.shop import Shop
from talkspurt.store import Store

STORE_FILE: Final = "store.db"
SHOP_FILE: Final = "shop.db"
LEDGER: Final = """SELECT tool, arguments, effects.state, coalesce(key, ''), carrier_call_id
FROM effects JOIN calls ON calls.id = effects.call_id"""


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite+aiosqlite:///{path}"


async def make_template(store_url: str, shop_url: str) -> None:
    """Fill empty databases: a store without calls, and the made-up shop with the parcel desk's table."""
    store = await Store.open(store_url)
    await store.aclose()
    async with Shop(shop_url).opened(), ParcelDesk(shop_url, DeedBook(), reach=nowhere).opened():
        pass


def run_virtual_call(plan: CallPlan, template: Path, folder: Path) -> Verdict:
    """Hold the call of `plan` on fresh copies of the template's files, and judge it. Leaves all of it in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    store_url, shop_url = copy_files(template, folder)
    book = DeedBook()
    before = tables_of(template / SHOP_FILE)

    async def hold() -> Truth:
        log = CallLog(clock.now)
        await World(plan, Place(store_url, shop_url, book), log).hold()
        return await gather(log, book.deeds(), store_url, shop_url, before)

    return judge(plan, clock.run_call(hold, alone=Random(f"{plan.name} sqlite")))


def copy_files(template: Path, folder: Path) -> tuple[str, str]:
    """Fresh copies of the template's files in `folder`; the URLs of store and shop."""
    for file in (STORE_FILE, SHOP_FILE):
        shutil.copy(template / file, folder / file)
    return sqlite_url(folder / STORE_FILE), sqlite_url(folder / SHOP_FILE)


async def gather(log: CallLog, deeds: Sequence[Deed], store_url: str, shop_url: str, shop_before: Tables) -> Truth:
    """Read everything that the referee looks at."""
    return Truth(
        tuple(log.entries), tuple(deeds), await _pickups(shop_url), shop_before, await shop_tables(shop_url),
        await _ledger(store_url),
    )  # fmt: skip


@cache
def tables_of(file: Path) -> Tables:
    """The shop that every call begins with."""
    return asyncio.run(shop_tables(sqlite_url(file)))


async def shop_tables(url: str) -> Tables:
    """All rows of the shop."""
    engine = create_async_engine(url)
    try:
        tables: dict[str, dict[str, dict[str, Any]]] = {}
        async with engine.connect() as connection:
            for table in Row.metadata.sorted_tables:
                rows = await connection.execute(select(table))
                names = list(rows.keys())
                key = [names.index(column.name) for column in table.primary_key]
                tables[table.name] = {
                    "/".join(str(row[place]) for place in key): dict(zip(names, row, strict=True)) for row in rows
                }
        return tables
    finally:
        await engine.dispose()


async def _pickups(url: str) -> tuple[str, ...]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return tuple((await connection.execute(select(pickups.c.parcel))).scalars())
    finally:
        await engine.dispose()


async def _ledger(url: str) -> tuple[EffectRow, ...]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            rows = await connection.execute(text(LEDGER))
            return tuple(EffectRow(*row) for row in rows)
    finally:
        await engine.dispose()


def make_template_files(folder: Path) -> None:
    """The template as SQLite files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(make_template(sqlite_url(folder / STORE_FILE), sqlite_url(folder / SHOP_FILE)))
