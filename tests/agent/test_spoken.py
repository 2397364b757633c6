"""What people say for an id, and what recognizers make of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkspurt.agent.spoken import alphanumerics, digits, email_address, identifiers, person_name, zip_code

ORDER = r"W\d{7}"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("W two three seven, eight one five six", "W2378156"),
        ("W-2-3-7-8-1-5-6.", "W2378156"),
        ("W 237-8156", "W2378156"),
        ("W. 2378156", "W2378156"),
        ("#W 237 81 56", "W2378156"),
        ("hash W 2378156", "W2378156"),
        ("W2,378,156", "W2378156"),
        ("double U 2378156", "W2378156"),
        ("Double you, two three seven eight one five six", "W2378156"),
        ("double-u 237 8156", "W2378156"),
        ("dubya 237 8156", "W2378156"),
        ("W twenty three seventy eight one fifty six", "W2378156"),
        ("W two thirty seven eighty one fifty six", "W2378156"),
        ("W double four triple nine one two", "W4499912"),
        ("w oh five oh 1 o 3 four", "W0501034"),
        ("W two hundred and five, six seven eight nine", "W2056789"),
        ("whiskey two three seven eight one five six", "W2378156"),
        ("W as in whiskey 2378156", "W2378156"),
        ("W for whiskey, 2 3 7, 8 1 5 6", "W2378156"),
        ("W like walrus 2378156", "W2378156"),
        ("W dash 237 dash 8156", "W2378156"),
        ("W 2 3 7 8 1 5 for 6", "W23781546"),
        ("W 2 to 3 7 8 1 5", "W2237815"),
        ("b as in bravo, delta seven", "BD7"),
        ("A B C one two", "ABC12"),
        ("X-ray five", "X5"),
        ("two thousand and fifteen", "2015"),
        ("nine hundred twelve", "912"),
        ("double oh seven", "007"),
        ("nothing to see here", ""),
        ("", ""),
    ],
)
def test_letters_and_digits(said: str, meant: str) -> None:
    assert alphanumerics(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        "my order number is W2378156 I think",
        "My order number is W 237-8156, I think.",
        "It's W two three seven eight one five six, thanks.",
        "where is order W two three seven, eight one five six please",
        "I want to return one item from order double u 237 8156",
        "for order W237, um, let me see, 8156",
        "that's a W 2378156",
        "Order #W2378156.",
        "no, W 2378156",
        "I bought two lamps with order W2378156 and one broke",
        "yes it is w-2-3-7-8-1-5-6 a lamp",
        "order number W twenty three seventy eight one five six",
    ],
)
def test_finds_an_id_in_a_sentence(said: str) -> None:
    assert identifiers(said, ORDER) == ("W2378156",)


def test_finds_several_ids_once_each() -> None:
    assert identifiers("W2378156 or was it W1111111? no, W2378156", ORDER) == ("W2378156", "W1111111")


def test_too_many_or_too_few_digits_are_no_id() -> None:
    assert identifiers("W23781567", ORDER) == ()
    assert identifiers("W237815", ORDER) == ()


def test_a_letter_o_in_an_id_is_a_zero() -> None:
    assert identifiers("W o o o 1 2 3 O", ORDER) == ("W0001230",)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("191-22", "19122"),
        ("one nine one two two", "19122"),
        ("My zip code is 1-9-1-2-2.", "19122"),
        ("nineteen one twenty two", "19122"),
        ("it's 19122 dash 1234", "19122"),
        ("oh two one double three", "02133"),
        ("19122-1234", "19122"),
        ("zip is 1912", None),
        ("19122 or 19123", None),
        ("I don't know", None),
    ],
)
def test_zip_codes(said: str, meant: str | None) -> None:
    assert zip_code(said) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("yusuf dot rossi at example dot com", "yusuf.rossi@example.com"),
        ("It's Yusuf.Rossi2475@example.com.", "yusuf.rossi2475@example.com"),
        ("My email is yusuf dot rossi two four seven five at example dot com.", "yusuf.rossi2475@example.com"),
        ("Yusuf.Rossi 2475 at example.com.", "yusuf.rossi2475@example.com"),
        ("my e-mail address is anna underscore li at mail dash shop dot org", "anna_li@mail-shop.org"),
        ("sure, it's j-o-e at example dot com", "joe@example.com"),
        ("the email is noah brown double seven at example com", "noahbrown77@example.com"),
        ("sam plus shop at mail dot example dot co", "sam+shop@mail.example.co"),
        ("I am at home", None),
        ("meet me at nine", None),
        ("", None),
    ],
)
def test_email_addresses(said: str, meant: str | None) -> None:
    assert email_address(said) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("Yusuf Rossi", ("Yusuf", "Rossi")),
        ("My name is Yusuf Rossi.", ("Yusuf", "Rossi")),
        ("it's yusuf rossi", ("Yusuf", "Rossi")),
        ("First name Yusuf, last name Rossi.", ("Yusuf", "Rossi")),
        ("This is Mary Ann O'Brien speaking.", ("Mary", "O'Brien")),
        ("Yusuf", None),
        ("I really do not want to say it", None),
        ("", None),
    ],
)
def test_names(said: str, meant: tuple[str, str] | None) -> None:
    assert person_name(said) == meant


_DIGIT_WORDS = {
    "0": ("zero", "oh", "0"),
    "1": ("one", "1"),
    "2": ("two", "2"),
    "3": ("three", "3"),
    "4": ("four", "4"),
    "5": ("five", "5"),
    "6": ("six", "6"),
    "7": ("seven", "7"),
    "8": ("eight", "8"),
    "9": ("nine", "niner", "9"),
}


@given(st.text("0123456789", min_size=7, max_size=7), st.data())
def test_any_id_said_digit_by_digit_is_understood(number: str, data: st.DataObject) -> None:
    words = [data.draw(st.sampled_from(_DIGIT_WORDS[digit])) for digit in number]
    separator = data.draw(st.sampled_from([" ", ", ", "-"]))
    said = f"it is W {separator.join(words)} I think"
    assert identifiers(said, ORDER) == (f"W{number}",)
    assert digits(said) == number


@given(st.text(max_size=120))
def test_never_raises(text: str) -> None:
    assert alphanumerics(text) == alphanumerics(text).upper()
    identifiers(text, ORDER)
    zip_code(text)
    email_address(text)
    person_name(text)
