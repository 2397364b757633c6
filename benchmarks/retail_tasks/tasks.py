"""The tasks, and the little of them that the oracle may see.

tau2-bench's files are not part of the package: they lie in the shared data, and a run without them says so.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.retail_tasks.reference import Reference, RefusedError

from talkspurt.errors import ConfigurationError

REPOSITORY: Final = Path(__file__).resolve().parents[2]

TOOLS: Final = {
    "find_user_id_by_email": "verify_caller",
    "find_user_id_by_name_zip": "verify_caller",
    "get_user_details": "get_account_info",
    "get_order_details": "check_order_status",
    "get_product_details": "get_product",
    "get_item_details": "get_item",
    "list_all_product_types": "list_products",
    "calculate": "calculate",
    "cancel_pending_order": "cancel_order",
    "modify_pending_order_address": "change_order_address",
    "modify_pending_order_items": "change_order_items",
    "modify_pending_order_payment": "change_order_payment",
    "modify_user_address": "change_account_address",
    "return_delivered_order_items": "process_return",
    "exchange_delivered_order_items": "exchange_items",
    "transfer_to_human_agents": "escalate_to_human",
}
"""tau2's tools by the names of ours."""


@dataclass(frozen=True, slots=True)
class Action:
    """A call that a task expects."""

    name: str
    arguments: Mapping[str, Any]
    possible: bool
    """False for a call that tau2 answers with an error: an order number that the customer first gets wrong."""
    result: Any = None
    """What tau2 answers to it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A customer's task, and the shop as it should be afterwards."""

    id: str
    actions: tuple[Action, ...]
    start: Reference
    """The shop as it is before the call."""
    expected: Reference

    @property
    def tools(self) -> tuple[str, ...]:
        """All that the oracle is told: our names of the tools, in order.

        Looking up what does not exist is left out: the product asks again instead. A verification that
        fails stays, since the caller's wrong facts must be tried to be found wrong, and so does an
        effect that is refused.
        """
        return tuple(
            TOOLS[action.name] for action in self.actions if action.possible or not action.name.startswith("get_")
        )


def data_folder() -> Path:
    """Where tau2's retail files lie. Raises `ConfigurationError` when they are not there."""
    shared = Path(os.environ.get("TALKSPURT_SHARED_DATA") or REPOSITORY / "../shared/data").resolve()
    folder = shared / "retail"
    if not (folder / "tasks.json").is_file():
        raise ConfigurationError(f"no retail tasks in {folder}: set TALKSPURT_SHARED_DATA to the folder with the data")
    return folder


def load_tasks(path: Path, database: Mapping[str, Any]) -> list[Task]:
    """The tasks of `path`, each carried out on a copy of `database`."""
    tasks: Sequence[Mapping[str, Any]] = json.loads(path.read_bytes())
    return [_task(task, database) for task in tasks]


def _task(task: Mapping[str, Any], database: Mapping[str, Any]) -> Task:
    shop = Reference(database)
    actions = []
    for action in task["evaluation_criteria"]["actions"]:
        name, arguments = action["name"], action["arguments"]
        try:
            actions.append(Action(name, arguments, possible=True, result=shop.call(name, arguments)))
        except RefusedError:
            actions.append(Action(name, arguments, possible=False))
    return Task(task["id"], tuple(actions), Reference(database), shop)
