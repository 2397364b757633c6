"""A long call is shortened from its oldest turns, and what holds for the whole call is kept."""

from hypothesis import given
from hypothesis import strategies as st

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.models.messages import to_messages
from talkspurt.models.window import LEFT_OUT, shortened, tokens_of_history, tokens_of_text

LASTING = {"cancel_order", "verify_caller"}


def turns(count: int, *, first: int = 0) -> list[Entry]:
    history: list[Entry] = []
    for number in range(first, first + count):
        history += [
            CallerSaid(f"Question {number}, which is a little longer than it has to be."),
            ToolCalled(f"look-{number}", "look_up", '{"number": 1}'),
            ToolAnswered(f"look-{number}", "look_up", '{"answer": "forty-two and a few more words"}'),
            AgentSaid(f"Answer {number}, and it goes on for a while, as answers do."),
        ]
    return history


def effect() -> list[Entry]:
    return [
        ToolCalled("e", "cancel_order", '{"order_id":"W2378156"}'),
        ToolAnswered("e", "cancel_order", '{"status":"done","refund_cents":8999}'),
    ]


def test_a_call_that_fits_is_left_alone() -> None:
    history = turns(3)
    assert shortened(history, lasting=LASTING, room=tokens_of_history(history)) == tuple(history)


def test_the_oldest_turns_go_first_and_whole() -> None:
    history = turns(20)
    room = tokens_of_history(history) // 2
    kept = shortened(history, lasting=LASTING, room=room)
    assert tokens_of_history(kept) <= room + tokens_of_text(LEFT_OUT) + 8
    assert kept[0] == CallerSaid(LEFT_OUT)
    assert isinstance(kept[1], CallerSaid)
    assert kept[1:] == tuple(history[-len(kept) + 1 :])


def test_what_was_done_and_who_was_verified_is_kept() -> None:
    verified: list[Entry] = [ToolCalled("v", "verify_caller", "{}"), ToolAnswered("v", "verify_caller", '{"level":1}')]
    history = [*turns(2), *verified, *turns(4, first=2), *effect(), *turns(20, first=6)]
    kept = shortened(history, lasting=LASTING, room=400)
    assert [entry for entry in kept if getattr(entry, "name", "") in LASTING] == [*verified, *effect()]
    assert not [entry for entry in kept if isinstance(entry, CallerSaid) and entry.text.startswith("Question 1,")]


def test_the_turn_under_way_is_kept_whatever_it_takes() -> None:
    looked_up: list[Entry] = [ToolCalled("x", "look_up", "{}"), ToolAnswered("x", "look_up", "y" * 9000)]
    history: list[Entry] = [*turns(3), CallerSaid("Now?"), *looked_up]
    assert shortened(history, lasting=(), room=10)[1:] == tuple(history[-3:])


def test_several_turns_in_a_row_begin_alike() -> None:
    """Prompt caches live on it: the cut moves in steps, not with every turn."""
    history = turns(60)
    room = 2_000
    beginnings = [shortened(history[: 4 * count], lasting=(), room=room)[1] for count in range(40, 60)]
    assert len(set(beginnings)) <= 5
    assert max(beginnings.count(beginning) for beginning in beginnings) >= 4


ENTRIES = st.one_of(
    st.builds(CallerSaid, st.text(max_size=60)),
    st.builds(AgentSaid, st.text(max_size=60)),
    st.builds(ToolCalled, st.sampled_from("abc"), st.sampled_from(["look_up", "cancel_order"]), st.just("{}")),
    st.builds(ToolAnswered, st.sampled_from("abc"), st.sampled_from(["look_up", "cancel_order"]), st.just("{}")),
)


@given(st.lists(ENTRIES, max_size=30), st.integers(0, 400))
def test_nothing_that_lasts_is_lost_and_the_end_stays(history: list[Entry], room: int) -> None:
    kept = shortened(history, lasting=LASTING, room=room)
    lasting = [entry for entry in history if getattr(entry, "name", "") in LASTING]
    assert [entry for entry in kept if getattr(entry, "name", "") in LASTING] == lasting
    if history:
        assert kept[-1] == history[-1]
    assert to_messages(kept)
