"""Which worker a caller is told to connect to."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from talkspurt.server.fleet import FEW, PLACE_HELD, Fleet
from talkspurt.server.load_table import FRESH, Load, LoadTable, State
from talkspurt.server.strain import WINDOW, Strain


@dataclass
class Machine:
    """Several workers, a clock that stands still, and what they tell each other."""

    now: float = 1000.0
    fleets: list[Fleet] = field(default_factory=list)

    def tell(self, kind: str, text: str, /) -> None:
        if kind == "arrived":
            for fleet in self.fleets:
                fleet.dismiss(text)

    def beat(self) -> None:
        for fleet in self.fleets:
            fleet.beat(idle())

    @property
    def coming(self) -> list[int]:
        loads = self.fleets[0].loads()
        return [sum(load.places_given_at(worker) for load in loads) for worker in range(len(loads))]


def idle() -> Strain:
    return Strain(lag_limit=0.06, lateness_limit=0.02)


def strained() -> Strain:
    strain = idle()
    strain.note([0.1] * 10, [])
    return strain


Make = Callable[..., Machine]


@pytest.fixture
def make(tmp_path: object) -> Make:
    def machine(workers: int, max_calls: int = 100) -> Machine:
        table = LoadTable.create(tmp_path / "load", workers)  # type: ignore[operator]
        made = Machine()
        for index in range(workers):
            made.fleets.append(Fleet(table, index, max_calls=max_calls, post=made, now=lambda: made.now))
            made.fleets[-1].become(State.READY)
        return made

    return machine


def test_forty_callers_are_spread_evenly_whoever_answers_them(make: Make) -> None:
    machine = make(3)
    for number in range(40):
        assert machine.fleets[number * 7 % 3].admit(f"CA{number}") is None
    assert sorted(machine.coming) == [13, 13, 14]


def test_a_place_counts_until_the_caller_is_there(make: Make) -> None:
    machine = make(2)
    machine.fleets[0].admit("CA1")
    worker = machine.fleets[0].route("CA1")
    assert machine.coming[worker] == 1
    machine.fleets[worker].arrived("CA1")
    machine.fleets[worker].hold(1)
    assert machine.coming == [0, 0]
    machine.fleets[1].admit("CA2")
    assert machine.fleets[1].route("CA2") != worker


def test_a_webhook_that_is_repeated_names_the_same_worker(make: Make) -> None:
    machine = make(3)
    first = machine.fleets[0]
    first.admit("CA1")
    named = first.route("CA1")
    first.admit("CA2")
    assert (first.admit("CA1"), first.route("CA1")) == (None, named)
    assert sum(machine.coming) == 2


def test_a_caller_who_does_not_come_loses_his_place(make: Make) -> None:
    machine = make(2, max_calls=1)
    assert machine.fleets[0].admit("CA1") is None
    machine.now += PLACE_HELD - 0.1
    machine.beat()
    assert machine.fleets[1].admit("CA2") == "no_place"
    machine.now += 0.1
    machine.beat()
    assert machine.fleets[1].admit("CA2") is None


def test_the_most_calls_are_those_of_the_machine(make: Make) -> None:
    machine = make(3, max_calls=4)
    machine.fleets[0].hold(1)
    machine.fleets[1].hold(1)
    assert [machine.fleets[number % 3].admit(f"CA{number}") for number in range(3)] == [None, None, "no_place"]


def test_a_worker_that_is_silent_warming_or_draining_is_not_chosen_but_its_calls_count(make: Make) -> None:
    machine = make(3, max_calls=6)
    machine.fleets[1].hold(4)
    machine.now += FRESH
    machine.fleets[0].beat(idle())
    machine.fleets[2].become(State.DRAINING)
    assert machine.fleets[0].admit("CA1") is None
    assert machine.fleets[0].route("CA1") == 0
    machine.fleets[0].admit("CA2")
    assert machine.fleets[0].admit("CA3") == "no_place"


def test_places_at_and_of_a_worker_that_died_are_free_again(make: Make, tmp_path: object) -> None:
    machine = make(2, max_calls=2)
    machine.fleets[1].admit("CA1")
    machine.fleets[1].hold(1)
    assert machine.fleets[0].admit("CA2") == "no_place"
    LoadTable.open(tmp_path / "load").write(1, Load())  # type: ignore[operator]
    assert machine.fleets[0].admit("CA2") is None
    assert machine.fleets[0].route("CA2") == 0


def test_who_is_late_gets_no_new_calls_and_when_all_are_that_is_said(make: Make) -> None:
    machine = make(2)
    for fleet in machine.fleets:
        fleet.hold(FEW)
    machine.fleets[0].beat(strained())
    for number in range(3):
        machine.fleets[0].admit(f"CA{number}")
    assert machine.coming == [0, 3]
    machine.fleets[1].beat(strained())
    assert machine.fleets[0].admit("CA9") == "overload"
    assert machine.fleets[0].admit("CA1") is None, "who has a place keeps it"


def test_who_is_late_with_few_calls_is_not_made_so_by_them_and_takes_more(make: Make) -> None:
    machine = make(1)
    machine.fleets[0].hold(FEW - 1)
    machine.fleets[0].beat(strained())
    assert machine.fleets[0].admit("CA1") is None
    machine.fleets[0].hold(FEW)
    machine.fleets[0].beat(strained())
    assert machine.fleets[0].admit("CA2") == "overload"


def test_a_call_that_comes_back_goes_where_it_was_even_to_one_that_is_late_or_draining(make: Make) -> None:
    machine = make(3)
    machine.fleets[2].hold(FEW)
    machine.fleets[2].beat(strained())
    assert machine.fleets[0].route("CA1", 2) == 2
    machine.fleets[2].become(State.DRAINING)
    assert machine.fleets[0].route("CA1", 2) == 2
    assert machine.fleets[0].route("CA1", 63) != 2


def test_all_calls_of_a_worker_that_died_are_spread_over_the_others_and_never_refused(make: Make) -> None:
    machine = make(3, max_calls=10)
    for fleet in machine.fleets:
        fleet.hold(10)
    machine.fleets[2].become(State.WARMING)
    for number in range(10):
        assert machine.fleets[number % 2].route(f"CA{number}", 2) != 2
    assert machine.coming == [5, 5, 0]


def test_with_nobody_else_a_call_that_comes_back_stays_with_who_answers(make: Make) -> None:
    machine = make(2)
    for fleet in machine.fleets:
        fleet.become(State.DRAINING)
    assert machine.fleets[1].route("CA1") == 1


def test_a_socket_goes_to_the_worker_that_it_names_if_that_can_take_it(make: Make) -> None:
    machine = make(3)
    assert machine.fleets[0].destination(2) == 2
    assert machine.fleets[0].destination(None) == 0
    assert machine.fleets[0].destination(7) == 0
    machine.fleets[2].become(State.WARMING)
    assert machine.fleets[0].destination(2) == 0
    assert machine.fleets[2].destination(2) in (0, 1), "who cannot take it himself gives it away"


def test_a_worker_alone_takes_all_up_to_its_most_calls() -> None:
    fleet = Fleet.alone(max_calls=2)
    assert fleet.admit("CA1") == "no_place"
    fleet.become(State.READY)
    assert [fleet.admit("CA1"), fleet.admit("CA2"), fleet.admit("CA3")] == [None, None, "no_place"]
    assert not fleet.has_others


# ── lateness ──────────────────────────────────────────────────────────────────────


def test_one_stall_in_five_seconds_is_no_strain() -> None:
    strain = idle()
    strain.note([0.0] * 11 + [0.4], [])
    for _ in range(WINDOW - 1):
        strain.note([0.001] * 12, [0.0] * 4)
    assert not strain.full
    assert strain.lag == pytest.approx(0.001)


def test_a_clock_that_is_often_late_makes_full_until_it_is_well_in_time_again() -> None:
    strain = idle()
    strain.note([0.07] * 12, [])
    assert strain.full
    for _ in range(WINDOW):
        strain.note([0.04] * 12, [])
    assert (strain.lag, strain.full) == (0.04, True), "between half of the limit and the limit nothing changes"
    for _ in range(WINDOW):
        strain.note([0.02] * 12, [])
    assert not strain.full
    for _ in range(WINDOW):
        strain.note([0.05] * 12, [])
    assert not strain.full, "under the limit it stays open"


def test_audio_that_goes_out_too_late_makes_full() -> None:
    strain = idle()
    strain.note([0.0] * 12, [0.0] * 8 + [0.03] * 2)
    assert strain.full
    for _ in range(WINDOW):
        strain.note([0.0] * 12, [])
    assert not strain.full, "nobody speaks, nobody is late"
