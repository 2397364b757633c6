"""An agent with a tool that looks something up and one with an effect, for calls with a model that speaks itself."""

import os
from pathlib import Path

from talkspurt.agent import Agent, Caller, tool

DONE = "COUNTER_DONE"
"""The variable that names the file with a line for every order that was cancelled."""


@tool
async def opening_hours(caller: Caller, day: str) -> dict[str, str]:
    """Look up when the shop is open.

    day: A day of the week.
    """
    return {"day": day, "open": "until six"}


def _note(order_id: str) -> None:
    with Path(os.environ[DONE]).open("a", encoding="utf-8") as done:
        done.write(f"{order_id}\n")


async def read_back(caller: Caller, order_id: str) -> str:
    return f"I will cancel order {order_id} for you. Shall I go ahead?"


@tool(effect=True, read_back=read_back)
async def cancel_order(caller: Caller, order_id: str) -> dict[str, str]:
    """Cancel an order.

    order_id: The order.
    """
    _note(order_id)
    return {"status": "cancelled", "order_id": order_id}


agent = Agent(
    name="counter",
    prompt="You answer a shop's telephone.",
    greeting="Thank you for calling. How can I help?",
    tools=(opening_hours, cancel_order),
)
