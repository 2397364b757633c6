"""A flower market as an MCP server, written with the MCP SDK: the other side of examples/florist.py."""

from typing import Any, Literal

from mcp.server.mcpserver import Context, MCPServer

Flower = Literal["roses", "tulips", "sunflowers"]
PRICES = {"roses": 12.5, "tulips": 8.0, "sunflowers": 9.9}
orders: dict[str, str] = {}

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
    orders.setdefault(key, flower)
    return {"status": "ordered", "flower": orders[key]}


@market.tool()
async def find_order(idempotency_key: str) -> dict[str, Any]:
    """Tell whether an order with that key was taken."""
    return {"happened": idempotency_key in orders, "flower": orders.get(idempotency_key, "")}


if __name__ == "__main__":
    market.run()
