"""A flower market as an MCP server, written with the MCP SDK: the other side of examples/florist.py.

Each of Talkspurt's processes has one of its own, so what they all must know lies in a file: `flower_market.db` in the
working directory, or what `env = { FLOWER_MARKET = "…" }` in florist.toml names.
"""

import os
import sqlite3
from typing import Any, Literal

from mcp.server.mcpserver import Context, MCPServer

Flower = Literal["roses", "tulips", "sunflowers"]
PRICES = {"roses": 12.5, "tulips": 8.0, "sunflowers": 9.9}
orders = sqlite3.connect(os.environ.get("FLOWER_MARKET", "flower_market.db"), timeout=5, isolation_level=None)
orders.execute("CREATE TABLE IF NOT EXISTS orders (key TEXT PRIMARY KEY, flower TEXT NOT NULL)")

market = MCPServer("market")


@market.tool()
async def price(flower: Flower) -> dict[str, Any]:
    """Tell what a bunch costs, in dollars."""
    return {"flower": flower, "price": PRICES[flower]}


@market.tool()
async def order(flower: Flower, ctx: Context[Any, Any]) -> dict[str, str]:
    """Put a bunch of flowers aside."""
    # The same key means the same order: however often it comes, there is one bunch.
    key = str(dict(ctx.request_context.meta or {})["talkspurt/idempotency-key"])
    orders.execute("INSERT OR IGNORE INTO orders VALUES (?, ?)", (key, flower))
    return {"status": "ordered", "flower": ordered(key)}


@market.tool()
async def find_order(idempotency_key: str) -> dict[str, Any]:
    """Tell whether an order with that key was taken."""
    flower = ordered(idempotency_key)
    return {"happened": bool(flower), "flower": flower}


def ordered(key: str) -> str:
    """The flower of an order; "" when there is none."""
    found = orders.execute("SELECT flower FROM orders WHERE key = ?", (key,)).fetchone()
    return "" if found is None else str(found[0])


if __name__ == "__main__":
    market.run()
