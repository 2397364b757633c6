"""What the retail agent can do, as a model is told of it.

Each tool reads or changes the shop's database for the verified caller; none takes an account from its arguments. They
take what the caller said ("the blue one", "my PayPal") and find out themselves what is meant, or ask. The shapes of
the results are relied on by `talkspurt.retail.dialogue`.

Only notes on orders are text of strangers (`untrusted`). Names are the shop's own, and an account's data its
customer's.
"""

from collections.abc import Callable
from datetime import date

from talkspurt.agent import Tool
from talkspurt.retail.knowledge import Library
from talkspurt.retail.shop import Shop, shop_day
from talkspurt.retail.tools.catalogue import Catalogue
from talkspurt.retail.tools.delivered import DeliveredOrders
from talkspurt.retail.tools.enquiries import Enquiries
from talkspurt.retail.tools.identity import Identity
from talkspurt.retail.tools.pending import PendingOrders
from talkspurt.retail.tools.person import Person

__all__ = ["ServiceDesk"]


class ServiceDesk:
    """The retail agent's tools over one shop."""

    def __init__(self, shop: Shop, *, today: Callable[[], date] = shop_day) -> None:
        self._groups = (
            Identity(shop),
            Enquiries(shop, Library.bundled(), today),
            Catalogue(shop),
            PendingOrders(shop),
            DeliveredOrders(shop),
            Person(shop),
        )

    def tools(self) -> tuple[Tool, ...]:
        """All of them, in the order a model is told of them."""
        return tuple(entry for group in self._groups for entry in group.tools())
