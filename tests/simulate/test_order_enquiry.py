import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from talkspurt.simulate.lines import Say
from talkspurt.simulate.order_enquiry import order_enquiry, spell


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("W2378156", "W, two three seven eight, one five six"),
        ("60614", "six zero six one four"),
        ("02127", "zero two one two seven"),
        ("AB12", "A B, one two"),
        ("", ""),
    ],
)
def test_spells_as_people_read_out(identifier: str, words: str) -> None:
    assert spell(identifier) == words


async def test_asks_about_an_order_that_is_really_on_its_way(tmp_path: Path) -> None:
    database = tmp_path / "retail.db"
    question, zip_code, goodbye = await order_enquiry(database)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "select orders.id, addresses.zip_code from orders join users on users.id = orders.user_id "
            "join addresses on addresses.id = users.address_id where orders.status = 'shipped'"
        ).fetchall()
    assert isinstance(question, Say)
    assert isinstance(zip_code, Say)
    assert isinstance(goodbye, Say)
    assert any(spell(order) in question.text and spell(zip_) in zip_code.text for order, zip_ in rows)
