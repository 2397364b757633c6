"""Whose piece comes next, and whose has to go."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from talkspurt.speech.inference.asking import Purpose
from talkspurt.speech.inference.fair_queue import FairQueue, Piece

NOW = 100.0


def piece(call: str = "a", due: float = NOW, *, ahead: bool = False, begun: bool = False) -> Piece:
    return Piece(Purpose(call, ahead=ahead), due, due + 3, begun)


def taken(queue: FairQueue, seconds: float = 0.1) -> list[Piece]:
    """All pieces in the order in which one thread does them."""
    order = []
    while (following := queue.take(NOW)) is not None:
        queue.ended(following, seconds)
        order.append(following)
    return order


@pytest.fixture
def queue() -> FairQueue:
    return FairQueue(per_call=4, in_all=10)


def test_what_is_due_first_comes_first_and_equals_in_order(queue: FairQueue) -> None:
    late, soon, first, soon_too = (piece(due=NOW + due) for due in (9.0, 1.0, 0.5, 1.0))
    for each in (late, soon, first, soon_too):
        assert queue.add(each) is None
    assert taken(queue) == [first, soon, soon_too, late]


def test_of_what_is_overdue_the_oldest_does_not_win_but_who_had_least(queue: FairQueue) -> None:
    greedy = [piece("greedy", NOW - 2) for _ in range(3)]
    modest = piece("modest", NOW)
    for each in (*greedy, modest):
        queue.add(each)
    assert taken(queue) == [greedy[0], modest, *greedy[1:]]


def test_a_call_with_a_piece_at_work_lets_others_first(queue: FairQueue) -> None:
    running, second, other = piece("a"), piece("a"), piece("b")
    for each in (running, second, other):
        queue.add(each)
    assert [queue.take(NOW) for _ in range(3)] == [running, other, second]


def test_a_newcomer_makes_up_for_nothing(queue: FairQueue) -> None:
    """Who asked for nothing for an hour does not own the next hour."""
    queue.add(piece("old"))
    served = queue.take(NOW)
    assert served is not None
    queue.add(piece("old"))
    queue.ended(served, 50.0)
    new = [piece("new") for _ in range(4)]
    for each in new:
        queue.add(each)
    order = taken(queue, 20.0)
    assert [each.purpose.call for each in order] == ["new", "new", "new", "old", "new"]


def test_what_is_made_ahead_comes_after_all_that_is_wanted_until_it_is_wanted(queue: FairQueue) -> None:
    ahead, later, other = piece("a", ahead=True), piece("b", NOW + 60), piece("c", ahead=True)
    for each in (ahead, other, later):
        queue.add(each)
    other.purpose.is_wanted()
    assert taken(queue) == [other, later, ahead]


def test_what_has_expired_is_not_done(queue: FairQueue) -> None:
    queue.add(piece(due=NOW - 3))
    assert queue.take(NOW) is None


def test_a_call_has_so_many_waiting_and_no_more(queue: FairQueue) -> None:
    for _ in range(4):
        assert queue.add(piece()) is None
    fifth = piece()
    assert queue.add(fifth) is fifth
    assert len(queue) == 4
    assert queue.add(piece("b")) is None


def test_what_is_made_ahead_goes_first_when_its_call_has_too_much(queue: FairQueue) -> None:
    ahead = piece(ahead=True)
    for each in (piece(), ahead, piece(), piece()):
        queue.add(each)
    assert queue.add(piece()) is ahead


def test_a_full_queue_drops_what_is_made_ahead_then_the_last_of_the_greediest_call(queue: FairQueue) -> None:
    ahead = piece("c", ahead=True)
    last = piece("a", NOW + 2)
    for each in (last, *(piece("a") for _ in range(3)), *(piece("b") for _ in range(4)), piece("c"), ahead):
        assert queue.add(each) is None
    assert queue.add(piece("d")) is ahead
    assert queue.add(piece("d")) is last
    assert len(queue) == 10


def test_a_full_queue_of_equals_refuses_the_newcomer() -> None:
    queue = FairQueue(per_call=4, in_all=3)
    for call in "abc":
        queue.add(piece(call))
    new = piece("d")
    assert queue.add(new) is new


def test_speech_that_has_begun_is_neither_refused_nor_dropped(queue: FairQueue) -> None:
    for call in "abcde":
        for _ in range(2):
            queue.add(piece(call, begun=True))
    new = piece("d")
    assert queue.add(new) is new
    assert queue.add(piece("f", begun=True)) is None


def test_a_removed_piece_is_not_done(queue: FairQueue) -> None:
    gone = piece()
    queue.add(gone)
    assert queue.remove(gone)
    assert not queue.remove(gone)
    assert queue.take(NOW) is None


@given(st.integers(2, 8), st.lists(st.floats(0.01, 0.5), min_size=50, max_size=50))
def test_no_call_has_much_more_than_another_while_both_ask(calls: int, seconds: list[float]) -> None:
    """With work of any size, the calls' shares differ by two pieces at most."""
    queue = FairQueue(per_call=4, in_all=100)
    used = dict.fromkeys((str(number) for number in range(calls)), 0.0)
    for call in used:
        queue.add(piece(call))
    for took in seconds:
        following = queue.take(NOW)
        assert following is not None
        call = following.purpose.call
        queue.add(piece(call))
        queue.ended(following, took)
        used[call] += took
        assert max(used.values()) - min(used.values()) <= 2 * max(seconds)
