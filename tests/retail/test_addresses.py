"""Addresses as they are told on the telephone, and those that the shop knows."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkspurt.agent import ToolError
from talkspurt.retail.addresses import STATES, Known, Place, choose_address, read_address

MAPLE = Place("445 Maple Drive", "Suite 394", "Fort Worth", "TX", "76165")


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("445 Maple Drive, Suite 394, Fort Worth, Texas, 76165", MAPLE),
        ("445 Maple Drive, Suite 394, Fort Worth, TX 76165, USA", MAPLE),
        ("four forty five maple drive suite three ninety four fort worth texas seven six one six five", MAPLE),
        ("please send it to 445 Maple Drive, suite 394 in Fort Worth, Texas, zip code 7 6 1 6 5", MAPLE),
        (
            "Four forty-five Maple Drive, Suite three ninety-four, Fort Worth, Texas, seven six one six five",
            MAPLE,
        ),
        ("12 Forty-Second Street, Omaha, NE 68104", Place("12 Forty-Second Street", "", "Omaha", "NE", "68104")),
        ("101 Highway, New York, 10001", Place("101 Highway", "", "New York", "NY", "10001")),
        ("101 Highway, New York, New York 10001", Place("101 Highway", "", "New York", "NY", "10001")),
        ("1234 Elm St, Springfield, IL, 62701", Place("1234 Elm St", "", "Springfield", "IL", "62701")),
        ("12 Main St St Louis MO 63110", Place("12 Main St", "", "St Louis", "MO", "63110")),
        ("5 Court Street Boston Massachusetts 02127", Place("5 Court Street", "", "Boston", "MA", "02127")),
        ("565 Maple Drive, Washington, D.C. 20307-1234", Place("565 Maple Drive", "", "Washington", "DC", "20307")),
        (
            "667 Highland Drive apartment 4 B, Denver, Colorado 80280",
            Place("667 Highland Drive", "Apartment 4B", "Denver", "CO", "80280"),
        ),
        (
            "it's nine chestnut court in cleveland ohio zip code four four one oh seven",
            Place("9 Chestnut Court", "", "Cleveland", "OH", "44107"),
        ),
    ],
)
def test_an_address_is_read_with_and_without_commas(said: str, place: Place) -> None:
    assert read_address(said) == place


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("18 Linden Street, Chicago", "The state and the ZIP code are missing"),
        ("18 Linden Street, Chicago, Illinois", "The ZIP code is missing"),
        ("Chicago, Illinois 60614", "The street and number is missing"),
        ("", "Which address do you mean"),
        ("somewhere nice", "Which address do you mean"),
        ("10 Downing Street, London, England, SW1A 2AA", "missing"),
    ],
)
def test_what_is_missing_is_asked_for(said: str, sentence: str) -> None:
    with pytest.raises(ToolError) as refusal:
        read_address(said)
    assert sentence in str(refusal.value)


HOME = Place("18 Linden Street", "", "Chicago", "IL", "60614")
DAUGHTER = Place("9 Elm Avenue", "", "Houston", "TX", "77034")
OFFICE = Place("7 Elm Avenue", "", "New York", "NY", "10001")
KNOWN = (Known(None, HOME), Known("W1111111", DAUGHTER), Known("W2222222", OFFICE), Known("W3333333", HOME))


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("my home address", HOME),
        ("the default one on my account", HOME),
        ("my New York address", OFFICE),
        ("the NYC one", OFFICE),
        ("the one in Texas", DAUGHTER),
        ("Huston", DAUGHTER),
        ("the same as order W1111111", DAUGHTER),
        ("the address of W two two two two two two two", OFFICE),
        ("9 Maple Road, Chicago, Illinois 60614", Place("9 Maple Road", "", "Chicago", "IL", "60614")),
    ],
)
def test_an_address_that_the_shop_knows_need_not_be_told(said: str, place: Place) -> None:
    assert choose_address(said, KNOWN, of_order="W3333333") == place


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("the one on Elm Avenue", "Which address do you mean: 9 Elm Avenue in Houston or 7 Elm Avenue in New York?"),
        ("my other order's address, the one of the other order", "Which address do you mean"),
        ("the address of order W9999999", "I can't find another order of yours"),
        ("the address of my neighbour", "Which address do you mean? I need the street"),
        ("the same as order W3333333", "I can't find another order"),
    ],
)
def test_an_address_that_could_be_two_or_is_unknown_is_asked_about(said: str, sentence: str) -> None:
    with pytest.raises(ToolError) as refusal:
        choose_address(said, KNOWN, of_order="W3333333")
    assert sentence in str(refusal.value)


STREETS = st.sampled_from(["Maple Drive", "Elm Avenue", "Park Street", "Highland Road", "Cedar Lane"])
CITIES = st.sampled_from(["Fort Worth", "Denver", "San Diego", "Springfield", "New York", "Washington"])


@settings(deadline=None)
@given(
    st.integers(1, 9999), STREETS, st.integers(100, 999), CITIES, st.sampled_from(list(STATES)), st.integers(0, 99999)
)
def test_a_written_address_survives_being_read(
    number: int, street: str, suite: int, city: str, state: str, zip_code: int
) -> None:
    place = Place(f"{number} {street}", f"Suite {suite}", city, state, f"{zip_code:05}")
    assert read_address(f"{place.line1}, {place.line2}, {place.city}, {state}, {place.zip_code}") == place
    assert read_address(place.spoken()) == place


@settings(deadline=None)
@given(st.text(max_size=80))
def test_whatever_is_said_is_a_whole_address_or_a_refusal(said: str) -> None:
    try:
        place = choose_address(said, KNOWN)
    except ToolError:
        return
    assert place.line1
    assert place.city
    assert place.state in STATES
    assert len(place.zip_code) == 5
