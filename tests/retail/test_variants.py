"""Which variant a caller means, and what is said when it is none, or several."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail.rows import product
from talkspurt.agent import ToolError
from talkspurt.retail.options import named_options, spoken_options
from talkspurt.retail.schema import Product, Variant
from talkspurt.retail.variants import choose_variant

SHIRT = product(
    "T-Shirt",
    ({"color": "red", "size": "M", "material": "cotton", "style": "v-neck"}, 20_00, True),
    ({"color": "red", "size": "XXL", "material": "cotton", "style": "crew neck"}, 22_00, True),
    ({"color": "blue", "size": "M", "material": "cotton", "style": "v-neck"}, 21_00, True),
    ({"color": "blue", "size": "M", "material": "polyester", "style": "v-neck"}, 19_00, True),
    ({"color": "purple", "size": "S", "material": "polyester", "style": "v-neck"}, 25_00, True),
    ({"color": "black", "size": "L", "material": "cotton", "style": "v-neck"}, 18_00, False),
    ({"color": "black", "size": "XL", "material": "cotton", "style": "v-neck"}, 30_00, True),
)
BOOTS = product(
    "Hiking Boots",
    ({"size": "8", "waterproof": "yes"}, 100_00, True),
    ({"size": "8", "waterproof": "no"}, 90_00, True),
    ({"size": "9", "waterproof": "yes"}, 110_00, True),
)
SANDALS = product(
    "Sandals",
    ({"size": "8", "waterproof": "yes"}, 50_00, True),
    ({"size": "9", "waterproof": "no"}, 50_00, True),
)
BOTTLE = product(
    "Water Bottle",
    ({"capacity": "500ml", "color": "blue"}, 10_00, True),
    ({"capacity": "750ml", "color": "blue"}, 12_00, True),
    ({"capacity": "1000ml", "color": "blue"}, 14_00, True),
)
HELMET = product(
    "Cycling Helmet",
    ({"size": "M", "ventilation": "high"}, 50_00, True),
    ({"size": "S", "ventilation": "medium"}, 40_00, True),
)
GLASSES = product(
    "Sunglasses",
    ({"frame color": "black", "lens color": "brown"}, 80_00, True),
    ({"frame color": "brown", "lens color": "black"}, 90_00, True),
)


def variant(goods: Product, place: int) -> Variant:
    return goods.variants[place]


@pytest.mark.parametrize(
    ("goods", "current", "said", "place"),
    [
        (SHIRT, 0, "the same but in blue", 2),
        (SHIRT, 0, "blue, polyester", 3),
        (SHIRT, 0, "size small", 4),
        (SHIRT, 0, "a purple one", 4),
        (SHIRT, 0, "double XL with a crew neck", 1),
        (SHIRT, 0, "double extra large", 1),
        (SHIRT, 0, "extra large", 6),
        (SHIRT, 2, "red, the same size", 0),
        (SHIRT, 1, "red v neck", 0),
        (SHIRT, 0, "the cheapest one available", 3),
        (SHIRT, 0, "the most expensive you have", 6),
        (SHIRT, 0, "the cheapest purple one", 4),
        (SHIRT, 0, "1000000005", 4),
        (SHIRT, 0, "item number one zero zero zero zero zero zero zero zero five", 4),
        (SHIRT, 0, "puple", 4),
        (SHIRT, 0, "blue instead of red", 2),
        (SHIRT, 3, "red or purple, I don't care about the size, v-neck, polyester", 4),
        (BOOTS, 0, "not waterproof", 1),
        (BOOTS, 1, "a waterproof pair in the same size", 0),
        (BOOTS, 0, "nine", 2),
        (SANDALS, 0, "Size nine. Waterproof or not doesn't matter.", 1),
        (BOTTLE, 0, "seven fifty milliliters", 1),
        (BOTTLE, 0, "one liter", 2),
        (BOTTLE, 0, "a thousand ml", 2),
        (HELMET, 1, "medium with high ventilation", 0),
        (GLASSES, 1, "black frame and brown lenses", 0),
    ],
)
def test_a_variant_is_found_as_people_describe_it(goods: Product, current: int, said: str, place: int) -> None:
    assert choose_variant(said, goods, variant(goods, current)) is variant(goods, place)


@pytest.mark.parametrize(
    ("goods", "current", "said", "sentence"),
    [
        (SHIRT, 0, "blue shirt in green", ""),
        (SHIRT, 0, "black, large", "out of stock"),
        (SHIRT, 0, "purple cotton", "There is no such t-shirt. Available:"),
        (SHIRT, 0, "1000000006", "out of stock"),
        (SHIRT, 0, "9999999999", "An item can only become another of its kind"),
        (SHIRT, 0, "the same one again", "An item can only become another variant"),
        (SHIRT, 0, "something nicer", "There is a choice of color: red, blue, purple or black"),
        (SHIRT, 0, "", "Which t-shirt would you like?"),
        (SHIRT, 0, "red M cotton v-neck", "is that one already"),
        (SHIRT, 0, "1000000001", "is that one already"),
        (SHIRT, 3, "the cheapest", "is that one already"),
        (SHIRT, 4, "cotton", "Which t-shirt do you mean"),
        (GLASSES, 1, "black", "Do you mean frame color black or lens color black?"),
        (BOTTLE, 0, "7 hours", "Which water bottle would you like?"),
    ],
)
def test_what_is_none_or_several_is_told_or_asked(goods: Product, current: int, said: str, sentence: str) -> None:
    if not sentence:
        # Words that are no value are left alone: what was understood decides, and the read-back tells it.
        assert choose_variant(said, goods, variant(goods, current)) is variant(goods, 2)
        return
    with pytest.raises(ToolError) as refusal:
        choose_variant(said, goods, variant(goods, current))
    assert sentence in str(refusal.value)


def test_when_nothing_is_left_it_is_said() -> None:
    gone = product("Grill", ({"size": "large"}, 1, False), ({"size": "small"}, 1, False))
    for said in ("large", "", "the cheapest"):
        with pytest.raises(ToolError, match="available at the moment"):
            choose_variant(said, gone, None)


def test_options_are_spoken_so_that_they_mean_something() -> None:
    options = {
        "size": "L",
        "waterproof": "no",
        "backlight": "none",
        "brightness": "low",
        "dial color": "black",
        "pieces": "500",
        "water resistance": "no",
        "waterproofing": "yes",
        "color": "red",
    }
    assert spoken_options(options) == (
        "size L, not waterproof, no backlight, low brightness, black dial, 500 pieces, no water resistance, "
        "waterproofing, red"
    )
    assert spoken_options(options, ["color"]) == "red"


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from([SHIRT, BOOTS, BOTTLE, HELMET, GLASSES]))
def test_whatever_is_said_names_an_available_variant_that_is_not_the_callers_own(said: str, goods: Product) -> None:
    current = goods.variants[0]
    try:
        chosen = choose_variant(said, goods, current)
    except ToolError:
        return
    assert chosen.available
    assert chosen is not current
    assert chosen in goods.variants


@settings(deadline=None)
@given(st.sampled_from([SHIRT, BOOTS, BOTTLE, HELMET, GLASSES]), st.data())
def test_every_variant_is_found_by_its_own_description(goods: Product, data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from([each for each in goods.variants if each.available]))
    current = next(each for each in goods.variants if each is not wanted)
    said = ", ".join(f"{option} {value}" for option, value in wanted.options.items())
    assert choose_variant(said, goods, current) is wanted


@settings(deadline=None)
@given(st.text(max_size=80))
def test_named_options_are_options_that_exist(said: str) -> None:
    for goods in (SHIRT, BOOTS, HELMET):
        options = [each.options for each in goods.variants]
        try:
            named = named_options(said, options)
        except ToolError:
            continue
        for option, values in named.items():
            assert values <= {each[option] for each in options}
