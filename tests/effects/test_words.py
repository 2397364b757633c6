"""Whether a value came from the caller's mouth: in the forms in which speech carries it."""

from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from talkspurt.agent import AccountOf, tool
from talkspurt.effects.words import unsaid


class Colour(Enum):
    BLUE = "blue"


class Line(BaseModel):
    product: str = Field(alias="the product")
    count: int = 1


@dataclass
class Place:
    street: str


@tool
async def act(
    thing: str = "",
    items: list[str] | None = None,
    cents: int = 0,
    colour: Colour = Colour.BLUE,
    way: Annotated[Literal["post", "shop"] | None, Field(description="how")] = None,
    fast: bool = False,
    quantities: dict[str, int] | None = None,
    sizes: dict[Literal["large", "small"], int] | None = None,
    colours: dict[Colour, int] | None = None,
    lines: list[Line] | None = None,
    place: Place | None = None,
    account: Annotated[str, AccountOf()] = "",
) -> None:
    """Act."""


def missing(said: str, **arguments: Any) -> str | None:
    return unsaid(act.arguments.model_validate(arguments), [said], known=act.account_parameters)


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("my order W two three seven eight one five six", {"thing": "W2378156"}),
        ("it is w 2378156", {"thing": "#W2378156"}),
        ("the blue head-phones please", {"thing": "Blue Headphones"}),
        ("yusuf dot rossi at example dot com", {"thing": "yusuf.rossi@example.com"}),
        ("the lamp and the chair", {"items": ["lamp", "chair"]}),
        ("twenty five cents", {"cents": 25}),
        ("ninety dollars", {"cents": 90}),
        ("pay a hundred and five dollars and fifty cents", {"thing": "105.50"}),
        ("pay a hundred and five dollars and fifty cents", {"cents": 10550}),
        ("one million two hundred thousand", {"cents": 1200000}),
        ("call eight hundred five five five oh one double nine", {"thing": "+18005550199"}),
        ("two lamps and the boxes", {"items": ["lamp", "box"]}),
        ("M A L L O R Y", {"thing": "Mallory"}),
        ("M as in mike, A, L, L, Y", {"thing": "Mally"}),
        ("W237, let me see, 8156", {"thing": "W2378156"}),
        ("the number is 2378156", {"thing": "2378156"}),
        ("order W2378156", {"thing": "2378156"}),
        ("one nine one two two", {"thing": "19122"}),
        ("Müller & Söhne", {"thing": "Müller Söhne"}),
        ("twelve, Elm Street", {"thing": "Elm Street"}),
        ("for 1,200,000 please", {"cents": 1_200_000}),
        ("anything", {"colour": "blue", "way": "post", "fast": True, "account": "mallory"}),
        ("one lamp", {"quantities": {"lamp": 1}}),
        ("one", {"sizes": {"small": 1}, "colours": {"blue": 1}}),
        ("one lamp", {"lines": [{"the product": "lamp", "count": 1}]}),
        ("Elm Street", {"place": {"street": "Elm Street"}}),
        ("anything", {"quantities": {}}),
        ("anything", {}),
        ("anything", {"thing": "", "items": [], "way": None}),
    ],
)
def test_what_was_said_in_any_form_counts(said: str, arguments: dict[str, Any]) -> None:
    assert missing(said, **arguments) is None


@pytest.mark.parametrize(
    ("said", "arguments", "name"),
    [
        ("my order W two three seven eight one five six", {"thing": "W2378157"}, "thing"),
        ("the lamp", {"items": ["lamp", "chair"]}, "items"),
        ("five", {"cents": 50}, "cents"),
        ("pay a hundred and five dollars and fifty cents", {"cents": 20550}, "cents"),
        ("call eight hundred five five five oh one double nine", {"thing": "+18005550198"}, "thing"),
        ("I have no idea", {"thing": "no"}, None),
        ("my number is 312 555 0100", {"cents": 55501}, "cents"),
        ("order W2350000 please", {"cents": 50000}, "cents"),
        ("order W2378156", {"thing": "W237815"}, "thing"),
        ("five of them and 5501", {"cents": 55501}, "cents"),
        ("really", {"thing": "Ally"}, "thing"),
        ("M A L L Y", {"thing": "Ally"}, "thing"),
        ("my mall or your shop", {"thing": "Mallory"}, "thing"),
        ("I want to call", {"items": ["all"]}, "items"),
        ("that's a cardigan", {"thing": "card"}, "thing"),
        ("hi", {"thing": "---"}, "thing"),
        ("hi", {"thing": "★☆"}, "thing"),
        ("class", {"thing": "cla"}, "thing"),
        ("nothing", {"thing": "no"}, "thing"),
        ("", {"thing": "x"}, "thing"),
        ("one", {"quantities": {"W999": 1}}, "quantities"),
        ("one lamp", {"quantities": {"lamp": 1, "W999": 1}}, "quantities"),
        ("one lamp", {"quantities": {"W999": 1, "lamp": 1}}, "quantities"),
        ("one", {"lines": [{"the product": "lamp", "count": 1}]}, "lines"),
        ("one", {"place": {"street": "Elm Street"}}, "place"),
    ],
)
def test_what_was_not_said_does_not(said: str, arguments: dict[str, Any], name: str | None) -> None:
    assert missing(said, **arguments) == name
