"""A person sees what is in doubt, says what became of it, and is told when there is nothing to say."""

import asyncio

import pytest

from cli.test_cli import clean, run  # noqa: F401  (a fixture)
from talkspurt.ports import EffectLedger, EffectRecord
from talkspurt.store import Call, Store

URL = "sqlite+aiosqlite:///talkspurt.db"


async def begun(store: Store) -> tuple[Call, EffectLedger]:
    """A call with an effect, "p1", that its caller has confirmed and that is under way."""
    call = await store.calls.admit(
        carrier_call_id="CA1", caller="+12025550101", dialled="", agent="retail", locale="en-US"
    )
    fence = await store.calls.take(call.id, attachment=0)
    assert fence is not None
    ledger = store.effects.ledger(call.id, fence)
    await ledger.propose(EffectRecord("p1", call.id, "pay", '{"cents":5}', "proposed", words="I'll pay."))
    await ledger.read_back("p1", heard_at=1)
    await ledger.confirm("p1", turn=1, key="k1")
    await ledger.begin("p1", patience=1)
    return call, ledger


async def doubtful() -> None:
    store = await Store.open(URL)
    _, ledger = await begun(store)
    await ledger.finish("p1", state="in_doubt", result="{}")
    await store.aclose()


def test_what_is_in_doubt_is_listed_until_somebody_says_what_became_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asyncio.run(doubtful())
    assert run("effects") == 0
    listed = capsys.readouterr().out
    assert all(part in listed for part in ("p1", "pay", '{"cents":5}', "I'll pay.", "k1"))
    assert run("effects", "resolve", "p1", "done") == 0
    assert run("effects", "resolve", "p1", "not-done") == 2
    assert "not in doubt" in capsys.readouterr().err
    assert run("effects") == 0
    assert "nothing is in doubt" in capsys.readouterr().out


async def not_done() -> None:
    store = await Store.open(URL)
    call, ledger = await begun(store)
    await store.calls.end(call.id, "caller_hung_up")
    await ledger.finish("p1", state="failed", result="no money")
    assert len(await store.effects.untold()) == 1
    await store.aclose()


def test_what_a_caller_believes_to_be_done_is_listed_until_somebody_has_seen_to_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asyncio.run(not_done())
    assert run("effects") == 0
    listed = capsys.readouterr().out
    assert all(part in listed for part in ("p1", "I'll pay.", "NOT DONE", "no money", "+12025550101"))
    assert run("effects", "resolve", "p1", "not-done") == 0
    assert run("effects") == 0
    assert "nothing is in doubt" in capsys.readouterr().out
