"""Which items a caller means, and what is said when that is not clear."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkspurt.agent import ToolError
from talkspurt.retail.items import choose_items
from talkspurt.retail.schema import OrderItem


def item(position: int, name: str, variant: str, **options: str) -> OrderItem:
    return OrderItem(
        id=f"W1/{position}",
        order_id="W1",
        position=position,
        variant_id=variant,
        product_id=name,
        name=name,
        options=options,
        price_cents=100,
    )


MIXED = (
    item(0, "Wireless Headphones", "v1", color="black"),
    item(1, "Smart Watch", "v2", color="gold"),
    item(2, "Smart Thermostat", "v3", color="white"),
    item(3, "Vacuum Cleaner", "v4", type="robotic"),
)
TWINS = (
    item(0, "T-Shirt", "v1", color="red", size="M"),
    item(1, "T-Shirt", "v2", color="blue", size="M"),
    item(2, "T-Shirt", "v2", color="blue", size="M"),
)


@pytest.mark.parametrize(
    ("spoken", "positions"),
    [
        (["headphones"], [0]),
        (["the wireless headphone"], [0]),
        (["Wireless Headphones"], [0]),
        (["headphones I bought last week"], [0]),
        (["smartwatch"], [1]),
        (["my smart watch please"], [1]),
        (["the gold one"], [1]),
        (["vacuum"], [3]),
        (["robot vacuum"], [3]),
        (["vacum cleaner"], [3]),
        (["v3"], [2]),
        (["W1/2"], [2]),
        (["headphones and the watch"], [0, 1]),
        (["thermostat", "headphones"], [0, 2]),
        (["headphones, thermostat and vacuum"], [0, 2, 3]),
        (["all"], [0, 1, 2, 3]),
        (["everything"], [0, 1, 2, 3]),
        (["all of them"], [0, 1, 2, 3]),
        (["the whole order"], [0, 1, 2, 3]),
        (["everything except the smart watch"], [0, 2, 3]),
        (["all but the watch and the vacuum"], [0, 2]),
        (["headphones", "the headphones"], [0]),
    ],
)
def test_items_are_found_as_people_name_them(spoken: list[str], positions: list[int]) -> None:
    assert [chosen.position for chosen in choose_items(spoken, MIXED)] == positions


@pytest.mark.parametrize(
    ("spoken", "sentence"),
    [
        ([], "Which item"),
        (["", " "], "Which item"),
        (["blender"], "I don't see that in the order. The order has: wireless headphones, smart watch"),
        (["smart one"], "Which one do you mean: the smart watch or the smart thermostat?"),
        (["headphones and a blender"], "I don't see that"),
        (["both"], "Which two"),
        (["all the blenders"], "I don't see that"),
        (["everything but the headphones, watch, thermostat and vacuum"], "leaves no item"),
        (["and, and"], "I don't see that"),
        (["it"], "I don't see that"),
    ],
)
def test_what_is_unclear_is_asked_about(spoken: list[str], sentence: str) -> None:
    with pytest.raises(ToolError) as refusal:
        choose_items(spoken, MIXED)
    assert sentence in str(refusal.value)


def test_twins_are_told_apart_by_what_differs() -> None:
    with pytest.raises(ToolError, match="the red t-shirt or the blue t-shirt"):
        choose_items(["t-shirt"], TWINS[:2])
    assert choose_items(["red t-shirt"], TWINS) == [TWINS[0]]


def test_of_two_that_are_the_same_any_one_will_do() -> None:
    assert choose_items(["blue t-shirt"], TWINS) == [TWINS[1]]
    assert choose_items(["blue t-shirt", "blue shirt"], TWINS) == [TWINS[1], TWINS[2]]
    assert choose_items(["all the t-shirts"], TWINS) == list(TWINS)
    assert choose_items(["both"], TWINS[1:]) == list(TWINS[1:])


SPEAKERS = (
    item(0, "Bluetooth Speaker", "v1", **{"color": "blue", "water resistance": "yes"}),
    item(1, "Bluetooth Speaker", "v2", **{"color": "blue", "water resistance": "no"}),
    item(2, "Garden Hose", "v3", length="50ft"),
    item(3, "Desk Lamp", "v4", color="white"),
)


@pytest.mark.parametrize(
    ("spoken", "positions"),
    [
        ("both speakers and the hose", [0, 1, 2]),
        ("the hose and the two speakers", [0, 1, 2]),
        ("the two speakers and the lamp, thanks", [0, 1, 3]),
        ("both the hose and the lamp", [2, 3]),
        ("the hose and the lamp as well", [2, 3]),
        ("the speaker that is not water resistant", [1]),
        ("the water resistant speaker", [0]),
    ],
)
def test_every_part_of_an_enumeration_counts(spoken: str, positions: list[int]) -> None:
    assert [chosen.position for chosen in choose_items([spoken], SPEAKERS)] == positions


@pytest.mark.parametrize("spoken", ["both the speaker and the hose", "the speaker"])
def test_one_of_two_is_asked_about_in_words_that_can_be_said(spoken: str) -> None:
    question = "the bluetooth speaker with water resistance or the bluetooth speaker with no water resistance"
    with pytest.raises(ToolError, match=question):
        choose_items([spoken], SPEAKERS)


@pytest.mark.parametrize("spoken", ["yes", "No.", "none"])
def test_an_answer_chooses_no_item_that_has_it_for_an_option(spoken: str) -> None:
    with pytest.raises(ToolError, match="I don't see that"):
        choose_items([spoken], SPEAKERS)


HOUSEHOLD = (
    item(0, "Air Purifier", "v1", filter="HEPA"),
    item(1, "Mechanical Keyboard", "v2", size="80%"),
    item(2, "Clothing", "v3", size="M"),
)


@pytest.mark.parametrize(
    ("heard", "position"),
    [
        ("The Air Pure Fire", 0),
        ("The Air Peer Fire.", 0),
        ("I said, the air pure fire.", 0),
        ("the key bard", 1),
        ("the mechanical key guard", 1),
    ],
)
def test_a_name_that_a_recognizer_tore_apart_is_proposed(heard: str, position: int) -> None:
    assert [chosen.position for chosen in choose_items([heard], HOUSEHOLD)] == [position]


@pytest.mark.parametrize("heard", ["nothing", "the blender", "leave it", "that", "paper", "the key"])
def test_other_words_are_no_torn_names(heard: str) -> None:
    with pytest.raises(ToolError, match="I don't see that"):
        choose_items([heard], HOUSEHOLD)


PACKED = (
    item(0, "Water Bottle", "v1", color="black"),
    item(1, "Mechanical Keyboard", "v2", size="80%"),
    item(2, "Action Camera", "v3", resolution="5K"),
    item(3, "Backpack", "v4", color="grey"),
)


@pytest.mark.parametrize(
    ("heard", "positions"),
    [
        ("the water bottle, the action camera in the backpack.", [0, 2, 3]),
        ("the backpack end the water bottle", [0, 3]),
        ("I said the camera in my backpack", [2, 3]),
        ("the camera in the order", [2]),
    ],
)
def test_an_and_that_was_misheard_joins_what_is_in_the_order(heard: str, positions: list[int]) -> None:
    assert [chosen.position for chosen in choose_items([heard], PACKED)] == positions


@pytest.mark.parametrize("heard", ["the water bottle backpack", "the action camera with the backpack"])
def test_an_item_that_was_mentioned_is_not_dropped_unheard(heard: str) -> None:
    with pytest.raises(ToolError, match=r"Which one do you mean: the .* backpack\? Or all of them\?"):
        choose_items([heard], PACKED)


BOARDS = (
    item(0, "Skateboard", "v1", length="28 inch"),
    item(1, "Vacuum Cleaner", "v2", type="canister"),
    item(2, "Skateboard", "v3", length="34 inch"),
    item(3, "Smart Watch", "v4", color="gold"),
)


@pytest.mark.parametrize(
    "heard",
    [
        "those skate bars in the smartwatch.",
        "I said those skateboards in the smartwatch.",
        "I said both skateboard and the smartwatch.",
        "the skateboards and the watch",
    ],
)
def test_a_plural_means_all_of_its_kind(heard: str) -> None:
    assert [chosen.position for chosen in choose_items([heard], BOARDS)] == [0, 2, 3]


def test_one_of_several_is_still_asked_about() -> None:
    with pytest.raises(ToolError, match="the 28 inch skateboard or the 34 inch skateboard"):
        choose_items(["the skateboard and the watch"], BOARDS)


@pytest.mark.parametrize(
    ("heard", "names", "meant"),
    [
        ("I said that he's short. I said that", ("T-Shirt", "Backpack"), "T-Shirt"),
        ("the key shirt", ("T-Shirt", "Backpack"), "T-Shirt"),
        ("I want to return the Air Fire.", ("Vacuum Cleaner", "Air Purifier", "Patio Umbrella"), "Air Purifier"),
        ("to hiking booth.", ("Hiking Boots", "Action Camera", "Cycling Helmet"), "Hiking Boots"),
        ("D reader.", ("E-Reader", "Tablet", "Makeup Kit"), "E-Reader"),
        ("I said he reaver", ("E-Reader", "Tablet", "Makeup Kit"), "E-Reader"),
    ],
)
def test_a_name_that_sounds_like_what_was_heard_is_proposed(heard: str, names: tuple[str, ...], meant: str) -> None:
    order = [item(place, name, f"v{place}") for place, name in enumerate(names)]
    assert [chosen.name for chosen in choose_items([heard], order)] == [meant]


@pytest.mark.parametrize("heard", ["3, 2, 3, 9, 8, 8, 2.", "Double U3-do 39882", "yes please", "the card I paid with"])
def test_answers_to_other_questions_sound_like_no_item(heard: str) -> None:
    with pytest.raises(ToolError, match="I don't see that"):
        choose_items([heard], BOARDS)


def test_of_two_names_that_sound_alike_none_is_proposed() -> None:
    with pytest.raises(ToolError, match="I don't see that"):
        choose_items(["the wadder bobtle"], (item(0, "Water Bottle", "v1"), item(1, "Water Bobble", "v2")))


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_whatever_is_said_chooses_items_of_the_order_or_refuses(spoken: list[str]) -> None:
    try:
        chosen = choose_items(spoken, MIXED)
    except ToolError:
        return
    assert chosen
    assert [each for each in MIXED if each in chosen] == chosen
