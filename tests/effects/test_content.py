"""What tools return becomes small, clean JSON objects."""

import json
import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_serializer

from talkspurt.agent.plain_text import MESSAGE_CHARACTERS, clean, message
from talkspurt.effects.content import (
    RESULT_BYTES,
    UnusableResultError,
    canonical,
    error_content,
    result_content,
)

plain_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@dataclass
class Parcel:
    number: str
    weight: Decimal
    due: date


@given(plain_json)
def test_every_result_is_a_clean_object(result: Any) -> None:
    content = json.loads(result_content(result))
    assert isinstance(content, dict)
    for text in _texts(content):
        assert text == clean(text)


def _texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case list():
            return [text for entry in value for text in _texts(entry)]
        case dict():
            return [text for key, entry in value.items() for text in (key, *_texts(entry))]
        case _:
            return []


@dataclass
class Everything:
    rows: list[dict[str, str]]


class Page(BaseModel):
    text: str


class Swollen(BaseModel):
    text: str = ""

    @model_serializer
    def _swell(self) -> list[int]:
        return list(range(100_000))


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    "result",
    [
        {"x": "é" * 20_000_000},
        {"é" * 20_000_000: "x"},
        [{"a": "ü"}] * 1_000_000,
        Everything([{"a": "ü"}] * 1_000_000),
        Page(text="é" * 20_000_000),
        {"parts": ({"é" * 20_000} for _ in iter(int, 1))},
        b"\xc3\xa9" * 10_000_000,
        Swollen(),
        ENDLESS,
    ],
    ids=["text", "key", "rows", "dataclass", "model", "generator", "bytes", "serializer", "endless"],
)
def test_megabytes_are_found_out_before_they_are_worked_on(result: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at = 0
    category = unicodedata.category

    def counted(character: str) -> str:
        nonlocal looked_at
        looked_at += 1
        return category(character)

    monkeypatch.setattr(unicodedata, "category", counted)
    with pytest.raises(UnusableResultError):
        result_content(result)
    assert looked_at <= 4 * RESULT_BYTES
    if not isinstance(result, Swollen):
        converted = Mock(side_effect=AssertionError("all of it was converted"))
        monkeypatch.setattr("talkspurt.effects.content.to_jsonable_python", converted)
        with pytest.raises(UnusableResultError):
            result_content(result)
        converted.assert_not_called()


def test_usual_python_values_are_carried() -> None:
    parcel = Parcel("P1", Decimal("1.50"), date(2026, 5, 4))
    assert json.loads(result_content([parcel])) == {"result": [{"number": "P1", "weight": "1.50", "due": "2026-05-04"}]}


def test_characters_that_steer_a_terminal_or_a_prompt_are_removed() -> None:
    assert clean("a\x00b\x1b[31m\u202ec\u200b\td\ne") == "ab[31mc d e"


def test_numbers_that_json_lacks_become_null() -> None:
    assert result_content({"share": float("nan")}) == '{"share": null}'


@pytest.mark.parametrize("result", [object(), {"f": print}, "x" * RESULT_BYTES, {"deep": "é" * (RESULT_BYTES // 2)}])
def test_results_that_json_cannot_carry_or_that_are_too_long_are_refused(result: Any) -> None:
    with pytest.raises(UnusableResultError):
        result_content(result)


def test_a_result_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(UnusableResultError):
        result_content(loop)


def test_messages_are_one_short_line() -> None:
    assert message(" two\nlines\x07 ") == "two lines"
    assert len(message("word " * 1_000_000)) <= MESSAGE_CHARACTERS
    assert json.loads(error_content("refused", "No\nway."))["error"] == {"kind": "refused", "message": "No way."}


def test_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": [1, 2], "a": "é"}) == canonical({"a": "é", "b": [1, 2]}) == '{"a":"é","b":[1,2]}'
