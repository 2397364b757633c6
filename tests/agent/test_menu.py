"""What keys of a menu may be, and what callers hear of them."""

import pytest

from talkspurt.agent import Agent, MenuKey
from talkspurt.errors import ConfigurationError


def agent(*menu: MenuKey) -> Agent:
    return Agent(name="Ann", prompt="You are Ann.", greeting="Hello.", menu=menu)


@pytest.mark.parametrize(
    "menu",
    [
        [MenuKey("#", "help", "Help.")],
        [MenuKey("12", "help", "Help.")],
        [MenuKey("", "help", "Help.")],
        [MenuKey("1", "help", "Help."), MenuKey("1", "a person", "A person.")],
        [MenuKey("1", " ", "Help.")],
        [MenuKey("1", "help", "")],
    ],
)
def test_a_key_that_callers_could_not_use_is_refused_with_its_name(menu: list[MenuKey]) -> None:
    with pytest.raises(ConfigurationError, match=f"menu key '{menu[-1].key}'"):
        agent(*menu)


def test_keys_keep_their_order() -> None:
    assert [entry.key for entry in agent(MenuKey("2", "a", "A."), MenuKey("1", "b", "B.")).menu] == ["2", "1"]
