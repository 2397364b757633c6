"""A recognizer that dies hands the whole utterance to its successor; the caller says nothing twice."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from random import Random
from typing import Any, Literal

import pytest

from ladder.rungs import BETWEEN, FIRST, error, rung
from talkspurt.errors import ProviderError
from talkspurt.ladder import LadderRecognizer, Rung
from talkspurt.ladder.breaker import FAILURES, LONGEST_PAUSE, PAUSE, Closed, Open
from talkspurt.ladder.opinion import FRUITLESS, PATIENCE
from talkspurt.ladder.recognizer import KEPT, LAST_WORD, SHUNNED, SLOW, LadderStream, Opinions
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.telemetry import metrics
from talkspurt.testing.virtual_time import run_virtual

FRAME = b"\x01\x00" * (LINE_RATE_HZ // 50)
SPEECH = struct.pack("<160h", *(round(6000 * math.sin(n / 3)) for n in range(160)))
"""A frame that is loud enough for a voice."""
NOISE = Random(1).randbytes(320)
"""A frame of steady noise, as loud as can be."""
SETTLED = 1.0
"""Seconds after which it is known who can be reached."""
Fault = Literal["clings", "none", "refuses", "hangs", "silent", "errors", "ends", "raises", "deaf", "overloaded"]


class Ear:
    """A recognizer whose transcripts tell its name and how many seconds it was given of the utterance."""

    def __init__(
        self, name: str, fault: Fault = "none", *, delay: float = 0.1, failure: ProviderError | None = None
    ) -> None:
        self.name = name
        self.fault = fault
        self.failure = failure
        self.delay = delay
        self.streams: list[_EarStream] = []

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def open(self, *, locale: str, call_id: str) -> "_EarStream":
        if self.fault == "refuses":
            raise ProviderError("recognizer", self.name, "refused", retryable=True)
        if self.fault == "hangs":
            await asyncio.sleep(60)
        if self.fault == "clings":
            try:
                await asyncio.sleep(60)
            finally:
                # As an SDK that says goodbye to a vendor it has never reached.
                await asyncio.sleep(3)
        stream = _EarStream(self)
        self.streams.append(stream)
        return stream

    async def aclose(self) -> None:
        """Nothing to do."""


class _EarStream:
    """As local recognizers do, it keeps no more than a second that no utterance has claimed."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear
        self.fed = 0
        self.begun: dict[int, float] = {}
        self.closed = False
        self._answers: asyncio.Queue[Transcript | Exception | None] = asyncio.Queue()

    def feed(self, pcm: bytes, /) -> None:
        self.fed += len(pcm)

    @property
    def _seconds(self) -> float:
        return self.fed / 2 / LINE_RATE_HZ

    def begin(self, utterance: int, lead_in: float, /) -> None:
        self.begun[utterance] = self._seconds - (lead_in if self.begun else min(lead_in, 1.0))

    def finalize(self, utterance: int, revision: int, /) -> None:
        heard = f"{self.ear.name} {self._seconds - self.begun[utterance]:.2f}"
        answer: Transcript | Exception | None = Transcript(utterance, revision, heard)
        match self.ear.fault:
            case "silent":
                return
            case "deaf":
                answer = Transcript(utterance, revision, "")
            case "errors":
                answer = Transcript(utterance, revision, "", error="lost", failure=self.ear.failure)
            case "overloaded":
                answer = Transcript(utterance, revision, "", error="overloaded", fault="overloaded")
            case "ends":
                answer = None
            case "raises":
                answer = RuntimeError("unexpected")
        asyncio.get_running_loop().call_later(self.ear.delay, self._answers.put_nowait, answer)

    def end(self, utterance: int, /) -> None:
        self.begun.pop(utterance, None)

    async def transcripts(self) -> AsyncIterator[Transcript]:
        while (answer := await self._answers.get()) is not None:
            if isinstance(answer, Exception):
                raise answer
            yield answer

    def fail(self) -> None:
        """End, as a socket does that is lost."""
        self._answers.put_nowait(None)

    async def aclose(self) -> None:
        self.closed = True
        self._answers.put_nowait(None)


class Line:
    """A call that is heard over a ladder, and all that it was told."""

    def __init__(self, stream: LadderStream) -> None:
        self.stream = stream
        self.told: list[Transcript] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for transcript in self.stream.transcripts():
            self.told.append(transcript)

    async def speak(self, seconds: float, frame: bytes = FRAME) -> None:
        for _ in range(round(seconds * 50)):
            self.stream.feed(frame)
            await asyncio.sleep(0.02)

    async def utter(self, utterance: int, seconds: float = 1.0, frame: bytes = FRAME) -> Transcript:
        """An utterance from its beginning to its answer and end, after a fifth of a second of silence."""
        self.stream.begin(utterance, 0.0)
        if frame is not FRAME:
            await self.speak(0.2)
        await self.speak(seconds, frame)
        self.stream.finalize(utterance, 1)
        before = len(self.told)
        async with asyncio.timeout(20):
            while len(self.told) == before:
                await self.speak(0.02)
        self.stream.end(utterance)
        return self.told[-1]

    async def hang_up(self) -> None:
        await self.stream.aclose()
        await self._reader


def on_a_call(
    *ears: Ear,
    run: Callable[[Line], Coroutine[Any, Any, None]],
    before: Callable[[list[Rung[Any]]], None] | None = None,
    opinions: Opinions = "followed",
) -> None:
    """`before` is done to the rungs when the call begins."""
    rungs = [rung(ear.name, ear, port="recognizer") for ear in ears]

    async def scenario() -> None:
        if before is not None:
            before(rungs)
        line = Line(await LadderRecognizer(rungs, opinions=opinions).open(locale="en-US", call_id="c1"))
        await line.speak(0.1)
        await run(line)
        await line.hang_up()
        await asyncio.sleep(0.1)
        assert not any(each.in_use for each in rungs)
        assert all(stream.closed for ear in ears for stream in ear.streams)

    run_virtual(scenario())


def test_the_first_hears_while_it_bears() -> None:
    async def run(line: Line) -> None:
        assert (await line.utter(1)).text == "a 1.00"
        assert (await line.utter(2, 0.5)).text == "a 0.50"

    second = Ear("b")
    on_a_call(Ear("a"), second, run=run)
    assert not second.streams


@pytest.mark.parametrize("fault", ["refuses", "hangs", "clings", "silent", "errors", "ends", "raises"])
def test_whatever_becomes_of_the_first_the_second_hears_the_utterance_whole(fault: Fault) -> None:
    async def run(line: Line) -> None:
        began = asyncio.get_running_loop().time()
        answer = await line.utter(1)
        waited = asyncio.get_running_loop().time() - began - 1.0
        assert answer.error is None
        name, seconds = answer.text.split()
        assert name == "b"
        # It was asked again after the switch, and has heard all since the utterance began.
        assert 1.0 <= float(seconds) <= 1.0 + waited
        assert waited <= max(FIRST, BETWEEN) + 0.3

    on_a_call(Ear("a", fault), Ear("b"), run=run)


def test_opening_never_waits_and_never_fails() -> None:
    async def scenario() -> None:
        stream = await LadderRecognizer([rung("a", Ear("a", "hangs"), port="recognizer")]).open(
            locale="en-US", call_id="c1"
        )
        assert asyncio.get_running_loop().time() == 0.0
        await stream.aclose()

    run_virtual(scenario())


def test_what_was_said_before_anybody_was_connected_is_heard() -> None:
    async def run(line: Line) -> None:
        assert (await line.utter(1, 0.5)).text == "a 0.50"

    class Slow(Ear):
        async def open(self, *, locale: str, call_id: str) -> _EarStream:
            await asyncio.sleep(0.9)
            return await super().open(locale=locale, call_id=call_id)

    async def early(line: Line) -> None:
        line.stream.begin(1, 0.0)
        await line.speak(0.5)
        line.stream.finalize(1, 1)
        await line.speak(1.0)
        assert [transcript.text for transcript in line.told] == ["a 0.80"]
        line.stream.end(1)

    on_a_call(Slow("a"), run=early)
    on_a_call(Ear("a"), run=run)


def test_when_nobody_can_hear_every_question_is_answered_with_an_error_and_it_goes_on_trying() -> None:
    ear = Ear("a", "refuses")

    async def run(line: Line) -> None:
        assert (await line.utter(1)).error
        assert (await line.utter(2)).error
        ear.fault = "none"
        await line.speak(2 * PAUSE + SHUNNED)
        assert (await line.utter(3)).text.startswith("a ")

    on_a_call(ear, run=run)


def test_who_is_well_again_is_heard_by_at_once_though_every_breaker_is_open() -> None:
    first, second = Ear("a"), Ear("b")

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text == "a 1.00"

    def opened(rungs: list[Rung[Any]]) -> None:
        for each in rungs:
            each.breaker.failed(0.0, at_once=True)

    on_a_call(first, second, run=run, before=opened)


def test_a_rung_that_failed_once_is_asked_again_when_the_others_are_full() -> None:
    first, second = Ear("a"), Ear("b")
    rungs = [rung("a", first, port="recognizer"), rung("b", second, port="recognizer", capacity=0)]

    async def scenario() -> None:
        line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id="c"))
        await line.speak(0.1)
        first.streams[0].fail()
        assert (await line.utter(1)).text.startswith("a ")
        await line.hang_up()

    run_virtual(scenario())


def test_a_recognizer_that_connects_and_never_answers_is_left_alone_by_later_calls() -> None:
    first, second = Ear("a", "silent"), Ear("b")
    rungs = [rung("a", first, port="recognizer"), rung("b", second, port="recognizer")]

    async def scenario() -> None:
        for number in range(6):
            line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id=str(number)))
            await line.speak(0.1)
            assert (await line.utter(1)).text.startswith("b ")
            await line.hang_up()

    run_virtual(scenario())
    assert len(first.streams) <= FAILURES + 1


def test_every_question_is_answered_once() -> None:
    async def run(line: Line) -> None:
        line.stream.begin(1, 0.0)
        for revision in range(1, 6):
            await line.speak(0.3)
            line.stream.finalize(1, revision)
        await line.speak(3.0)
        assert sorted(transcript.revision for transcript in line.told) == [1, 2, 3, 4, 5]
        line.stream.end(1)

    on_a_call(Ear("a", "silent"), Ear("b"), run=run)


def test_an_answer_to_an_utterance_that_has_ended_is_not_given() -> None:
    async def run(line: Line) -> None:
        line.stream.begin(1, 0.0)
        await line.speak(0.5)
        line.stream.finalize(1, 1)
        line.stream.end(1)
        await line.speak(0.5)
        assert line.told == []

    on_a_call(Ear("a"), run=run)


def test_a_call_goes_back_up_between_utterances_once_the_better_one_has_recovered() -> None:
    first = Ear("a", "errors")

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text.startswith("b")
        first.fault = "none"
        assert (await line.utter(2)).text.startswith("b"), "a rung that has just failed this call is not tried at once"
        await line.speak(SHUNNED)
        await line.utter(3)
        assert (await line.utter(4)).text == "a 1.00"

    on_a_call(first, Ear("b"), run=run)


def test_a_full_rung_sends_the_call_to_the_next() -> None:
    first, second = Ear("a"), Ear("b")
    rungs = [rung("a", first, port="recognizer", capacity=1), rung("b", second, port="recognizer")]

    async def scenario() -> None:
        recognizer = LadderRecognizer(rungs)
        lines = [Line(await recognizer.open(locale="en-US", call_id=str(n))) for n in range(3)]
        await asyncio.sleep(0.1)
        assert (len(first.streams), len(second.streams)) == (1, 2)
        for line in lines:
            await line.hang_up()

    run_virtual(scenario())


def test_a_caller_who_never_pauses_costs_bounded_memory() -> None:
    async def run(line: Line) -> None:
        line.stream.begin(1, 0.0)
        await line.speak(4 * KEPT)
        assert len(line.stream._audio) <= KEPT * LINE_RATE_HZ
        line.stream.finalize(1, 1)
        await line.speak(3.0)
        assert float(line.told[0].text.split()[1]) == KEPT
        line.stream.end(1)

    on_a_call(Ear("a", "silent"), Ear("b"), run=run)


# ── a second opinion ──────────────────────────────────────────────────────────────


def test_who_hears_nothing_where_much_was_said_is_doubted_and_left_for_one_who_hears() -> None:
    first, second = Ear("a", "deaf"), Ear("b")

    async def run(line: Line) -> None:
        began = asyncio.get_running_loop().time()
        assert (await line.utter(1, frame=SPEECH)).text.startswith("b 1.")
        assert asyncio.get_running_loop().time() - began < 1.2 + 0.3
        await line.speak(0.1)
        assert (await line.utter(2, frame=SPEECH)).text == "b 1.20"
        assert len(first.streams) == 1
        assert len(second.streams) == 2, "one for the opinion, one for the call"

    on_a_call(first, second, run=run)


@pytest.mark.parametrize("fault", ["deaf", "silent"])
def test_where_opinions_are_only_taken_the_call_stays_where_it_is(fault: Fault) -> None:
    first, second = Ear("a", fault), Ear("b")

    async def run(line: Line) -> None:
        assert (await line.utter(1, frame=SPEECH)).text.startswith("b")
        await line.speak(BETWEEN)
        first.fault = "none"
        assert (await line.utter(2, frame=SPEECH)).text.startswith("a")
        assert len(first.streams) == 1
        assert len(second.streams) == 1

    on_a_call(first, second, run=run, opinions="taken")


@pytest.mark.parametrize("fault", ["deaf", "silent"])
def test_where_no_opinion_is_wanted_nobody_is_asked(fault: Fault) -> None:
    second = Ear("b")

    async def run(line: Line) -> None:
        line.stream.begin(1, 0.0)
        await line.speak(0.2)
        await line.speak(1.0, SPEECH)
        line.stream.finalize(1, 1)
        await line.speak(0.9 * BETWEEN)
        assert [transcript.text for transcript in line.told] == ([""] if fault == "deaf" else [])
        line.stream.end(1)
        assert not second.streams

    on_a_call(Ear("a", fault), second, run=run, opinions="unasked")


@pytest.mark.parametrize("frame", [FRAME, NOISE], ids=["silence", "steady noise"])
def test_silence_and_noise_are_worth_no_second_opinion(frame: bytes) -> None:
    second = Ear("b")

    async def run(line: Line) -> None:
        line.stream.begin(1, 0.0)
        await line.speak(3.0, frame)
        line.stream.finalize(1, 1)
        await line.speak(1.0, frame)
        assert [transcript.text for transcript in line.told] == [""]
        line.stream.end(1)

    on_a_call(Ear("a", "deaf"), second, run=run)
    assert not second.streams


def test_a_line_on_which_nobody_hears_words_is_not_recognised_twice_for_ever() -> None:
    first, second = Ear("a", "deaf"), Ear("b", "deaf")

    async def run(line: Line) -> None:
        for utterance in range(1, 6):
            assert (await line.utter(utterance, frame=SPEECH)).text == ""
        assert len(second.streams) == FRUITLESS
        first.fault = "none"
        assert (await line.utter(6, frame=SPEECH)).text.startswith("a")
        first.fault = "deaf"
        assert (await line.utter(7, frame=SPEECH)).text == ""
        assert len(second.streams) == FRUITLESS + 1
        assert len(first.streams) == 1, "who hears as little as the others has not failed"

    on_a_call(first, second, run=run)


@pytest.mark.parametrize("fault", ["refuses", "hangs", "clings", "silent", "errors", "ends", "raises"])
def test_a_second_opinion_that_fails_changes_nothing(fault: Fault) -> None:
    async def run(line: Line) -> None:
        asked = asyncio.get_running_loop().time()
        answer = await line.utter(1, frame=SPEECH)
        assert (answer.text, answer.error) == ("", None)
        assert asyncio.get_running_loop().time() - asked < 1.2 + 0.1 + PATIENCE + 0.1

    on_a_call(Ear("a", "deaf"), Ear("b", fault), run=run)


def test_who_is_slow_is_not_waited_for_when_another_one_has_heard() -> None:
    second = Ear("b")

    async def run(line: Line) -> None:
        began = asyncio.get_running_loop().time()
        assert (await line.utter(1, frame=SPEECH)).text.startswith("b")
        assert asyncio.get_running_loop().time() - began == pytest.approx(1.2 + SLOW * BETWEEN + 0.1, abs=0.05)

    on_a_call(Ear("a", "silent"), second, run=run)


def test_a_second_opinion_is_asked_on_the_calls_account_whoever_asks_for_the_words() -> None:
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")
    seen: list[str] = []

    class Accountable(Ear):
        async def open(self, *, locale: str, call_id: str) -> _EarStream:
            seen.append(whose.get())
            return await super().open(locale=locale, call_id=call_id)

    outside = copy_context()

    async def scenario() -> None:
        rungs = [rung(ear.name, ear, port="recognizer") for ear in (Ear("a", "silent"), Accountable("b"))]
        whose.set("the call's")
        line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id="c1"))
        line.stream.begin(1, 0.0)
        await line.speak(1.2, SPEECH)
        # The clock of all calls asks, which was started before there were any.
        outside.run(line.stream.finalize, 1, 1)
        await line.speak(SLOW * BETWEEN + 1.0)
        await line.hang_up()

    run_virtual(scenario())
    assert set(seen) == {"the call's"}


def test_how_long_a_second_opinion_took_is_measured_when_it_is_taken() -> None:
    def switches() -> float:
        name = "talkspurt_provider_switch_seconds_count"
        return metrics.REGISTRY.get_sample_value(name, {"port": "recognizer"}) or 0.0

    async def run(line: Line) -> None:
        before = switches()
        assert (await line.utter(1, frame=SPEECH)).text.startswith("b")
        assert switches() == before + 1

    on_a_call(Ear("a", "silent"), Ear("b"), run=run)


def test_who_is_slow_and_answers_first_goes_on() -> None:
    first, second = Ear("a", delay=1.2), Ear("b", delay=1.0)

    async def run(line: Line) -> None:
        assert (await line.utter(1, frame=SPEECH)).text.startswith("a")
        await line.utter(2)
        assert len(first.streams) == 1
        assert len(second.streams) == 1

    on_a_call(first, second, run=run)


def test_a_second_opinion_waits_for_nobody_whose_utterance_is_over() -> None:
    async def run(line: Line) -> None:
        line.stream.begin(1, 0.0)
        await line.speak(0.2)
        await line.speak(1.0, SPEECH)
        line.stream.finalize(1, 1)
        await line.speak(0.2)
        line.stream.end(1)
        await line.speak(1.0)
        assert line.told == []

    on_a_call(Ear("a", "deaf"), Ear("b", delay=0.5), run=run)


def test_a_second_opinion_takes_a_place_of_its_rung() -> None:
    rungs = [rung("a", Ear("a", "deaf"), port="recognizer"), rung("b", Ear("b"), port="recognizer", capacity=1)]

    async def scenario() -> None:
        assert rungs[1].enter()
        line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id="c"))
        await line.speak(0.1)
        assert (await line.utter(1, frame=SPEECH)).text == ""
        await line.hang_up()

    run_virtual(scenario())


def test_whoever_cannot_be_heard_learns_it_soon_although_everything_hangs() -> None:
    """Nobody else has room, and the vendor hangs as well when it is connected to anew."""
    rungs = [rung("a", Ear("a", "silent"), port="recognizer"), rung("b", Ear("b"), port="recognizer", capacity=1)]

    async def scenario() -> None:
        assert rungs[1].enter()
        line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id="c"))
        await line.speak(0.1)
        rungs[0].provider.fault = "clings"
        for stream in rungs[0].provider.streams:
            stream.ear = Ear("a", "silent")
        asked = asyncio.get_running_loop().time() + 1.2
        assert (await line.utter(1, frame=SPEECH)).error
        assert asyncio.get_running_loop().time() - asked <= BETWEEN + FIRST + 0.1
        await line.hang_up()

    run_virtual(scenario())


@pytest.mark.parametrize("others", [(), (Ear("b", "refuses"),)], ids=["the only one", "the last one"])
def test_who_is_slow_is_waited_for_as_long_as_the_call_does_when_there_is_nobody_else(others: tuple[Ear, ...]) -> None:
    last = Ear("a", delay=LAST_WORD - 0.1)

    async def run(line: Line) -> None:
        await line.speak(SETTLED)
        assert (await line.utter(1)).text == "a 1.00"
        last.fault = "silent"
        asked = asyncio.get_running_loop().time() + 1.0
        assert (await line.utter(2)).error
        assert asyncio.get_running_loop().time() - asked == pytest.approx(LAST_WORD, abs=0.1)

    on_a_call(*others, last, run=run)


def test_an_answer_is_given_up_as_soon_as_every_rung_has_failed_the_call() -> None:
    """Both vendors hang, the second when it is connected to: to try the first anew would only be more silence."""
    first, second = Ear("a", "silent"), Ear("b", "hangs")

    async def run(line: Line) -> None:
        asked = asyncio.get_running_loop().time() + 1.0
        assert (await line.utter(1)).error
        assert asyncio.get_running_loop().time() - asked <= BETWEEN + FIRST + 0.1
        first.fault = "hangs"
        # They are tried on behind it, and until somebody listens nobody is kept waiting.
        asked = asyncio.get_running_loop().time() + 0.5
        assert (await line.utter(2, 0.5)).error
        assert asyncio.get_running_loop().time() - asked <= 0.1
        second.fault = "none"
        await line.speak(2 * PAUSE + 3 * FIRST)
        assert (await line.utter(3, 0.5)).text == "b 0.50"

    on_a_call(first, second, run=run)


def test_the_only_recognizer_hears_an_utterance_again_whose_stream_broke() -> None:
    only = Ear("a", delay=0.3)

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text == "a 1.00"
        line.stream.begin(2, 0.0)
        await line.speak(1.0)
        line.stream.finalize(2, 1)
        await line.speak(0.1)
        only.streams[-1].fail()
        await line.speak(0.5)
        assert [each.text for each in line.told if each.utterance == 2] == ["a 1.12"]
        line.stream.end(2)

    on_a_call(only, run=run)


def test_the_only_recognizer_answers_at_once_when_its_stream_breaks_over_and_over() -> None:
    only = Ear("a")

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text == "a 1.00"
        only.fault = "ends"
        asked = asyncio.get_running_loop().time() + 1.0
        assert (await line.utter(2)).error
        assert asyncio.get_running_loop().time() - asked <= 0.4

    on_a_call(only, run=run)


@pytest.mark.parametrize("others", [0, 1])
def test_who_has_too_much_to_do_is_not_asked_the_same_again_and_has_not_failed(others: int) -> None:
    overloaded, other = Ear("a", "overloaded"), Ear("b")
    rungs: list[Rung[Any]] = []

    async def run(line: Line) -> None:
        for utterance in range(1, FAILURES + 2):
            answer = await line.utter(utterance)
            assert answer.text.startswith("b") if others else answer.fault == "overloaded"
        assert len(overloaded.streams) == 1
        assert rungs[0].breaker.state == Closed()
        if not others:
            overloaded.fault = "none"
            assert (await line.utter(9)).text == "a 1.00"

    on_a_call(*(overloaded, other)[: 1 + others], run=run, before=rungs.extend)


@pytest.mark.parametrize(
    ("failure", "pause"),
    [
        (ProviderError("recognizer", "a", "429", retryable=True, retry_after=20.0, fault="rate_limited"), 20.0),
        (ProviderError("recognizer", "a", "401", rejected=True, fault="key_rejected"), LONGEST_PAUSE),
    ],
    ids=str,
)
def test_what_a_vendor_says_in_place_of_words_holds_for_all_calls(failure: ProviderError, pause: float) -> None:
    rungs: list[Rung[Any]] = []

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text.startswith("b")
        assert isinstance(rungs[0].breaker.state, Open)
        assert rungs[0].breaker.state.pause == pause

    on_a_call(Ear("a", "errors", failure=failure), Ear("b"), run=run, before=rungs.extend)


def test_a_stream_that_opens_too_late_is_closed() -> None:
    class Late(Ear):
        async def open(self, *, locale: str, call_id: str) -> _EarStream:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return await super().open(locale=locale, call_id=call_id)

    async def run(line: Line) -> None:
        assert (await line.utter(1, 2.0)).text == "b 2.00"

    on_a_call(Late("a"), Ear("b"), run=run)


# ── a second try ──────────────────────────────────────────────────────────────────


class Refusing(Ear):
    """It refuses with one error after the other, after a while each; then it opens."""

    def __init__(self, name: str, *errors: Exception, after: float = 0.0) -> None:
        super().__init__(name)
        self.errors = list(errors)
        self.after = after
        self.asked = 0

    async def open(self, *, locale: str, call_id: str) -> _EarStream:
        self.asked += 1
        await asyncio.sleep(self.after)
        if self.errors:
            raise self.errors.pop(0)
        return await super().open(locale=locale, call_id=call_id)


def test_a_connection_that_is_refused_once_is_tried_once_more() -> None:
    first, second = Refusing("a", error()), Ear("b")

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text == "a 1.00"
        assert not second.streams

    on_a_call(first, second, run=run)


@pytest.mark.parametrize(
    ("refusals", "asked"),
    [
        ([error(), error()], 2),
        ([error(retryable=False)], 1),
        ([error(retry_after=7.0)], 1),
        ([error(retryable=False, rejected=True)], 1),
    ],
    ids=["twice", "for good", "for some seconds", "key"],
)
def test_where_a_second_try_cannot_help_or_has_not_the_next_hears_at_once(
    refusals: list[Exception], asked: int
) -> None:
    first, second = Refusing("a", *refusals), Ear("b")

    async def run(line: Line) -> None:
        assert (await line.utter(1)).text == "b 1.00"
        assert first.asked == asked

    on_a_call(first, second, run=run)


def test_a_second_try_does_not_put_the_next_recognizer_off() -> None:
    first, second = Refusing("a", *[error()] * 9, after=0.7 * FIRST), Ear("b")

    async def run(line: Line) -> None:
        await line.speak(FIRST)
        assert second.streams
        assert first.asked == 2

    on_a_call(first, second, run=run)


def test_a_hung_connection_is_not_tried_again() -> None:
    first, second = Refusing("a", after=60.0), Ear("b")

    async def run(line: Line) -> None:
        await line.speak(2 * FIRST)
        assert second.streams
        assert first.asked == 1

    on_a_call(first, second, run=run)


def test_both_tries_are_one_failure_and_who_is_only_probed_is_asked_once() -> None:
    first, second = Refusing("a", *[error()] * 9), Ear("b")
    rungs = [rung("a", first, port="recognizer"), rung("b", second, port="recognizer")]

    async def call() -> None:
        line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id="c"))
        await line.speak(0.2)
        await line.hang_up()

    async def scenario() -> None:
        for number in range(FAILURES):
            assert rungs[0].breaker.state == Closed(failures=number)
            await call()
        assert first.asked == 2 * FAILURES
        await asyncio.sleep(PAUSE + 0.1)
        await call()
        assert first.asked == 2 * FAILURES + 1

    run_virtual(scenario())


@pytest.mark.parametrize("ended", [False, True], ids=["still open", "over"])
def test_a_closed_stream_leaves_no_second_opinion_connected(ended: bool) -> None:
    class SlowToStop(_EarStream):
        async def transcripts(self) -> AsyncIterator[Transcript]:
            try:
                async for transcript in super().transcripts():
                    yield transcript
            finally:
                await asyncio.sleep(0.2)

    class Second(Ear):
        async def open(self, *, locale: str, call_id: str) -> _EarStream:
            self.streams.append(SlowToStop(self))
            return self.streams[-1]

    first, second = Ear("a", "deaf"), Second("b", "silent")
    rungs = [rung(ear.name, ear, port="recognizer") for ear in (first, second)]

    async def scenario() -> None:
        line = Line(await LadderRecognizer(rungs).open(locale="en-US", call_id="c"))
        await line.speak(0.1)
        line.stream.begin(1, 0.0)
        await line.speak(0.2)
        await line.speak(1.0, SPEECH)
        line.stream.finalize(1, 1)
        await line.speak(0.2)
        if ended:
            line.stream.end(1)
        await line.hang_up()
        assert [stream.closed for stream in second.streams] == [True]
        assert not rungs[1].in_use

    run_virtual(scenario())
