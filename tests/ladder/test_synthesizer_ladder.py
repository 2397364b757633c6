"""A sentence that one voice does not finish is finished by the next, from the word where it broke off."""

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from ladder.rungs import BETWEEN, FIRST, rung
from talkspurt.core.playback import Playback
from talkspurt.errors import ConfigurationError, ProviderError
from talkspurt.ladder import LadderSynthesizer
from talkspurt.ladder.breaker import FAILURES
from talkspurt.ladder.rung import FEWEST_OUTPUTS, SOONEST_HEDGE
from talkspurt.ports import LINE_RATE_HZ, SpeechChunk
from talkspurt.synthesizers.cache import PhraseCache
from talkspurt.telemetry import metrics
from talkspurt.testing.virtual_time import run_virtual

TEXT = "Your order is on its way, Anna."
WORD = 0.25
"""Seconds that each word takes, in all voices here."""


class Voice:
    """Speaks a word at a time; after `breaks_after` of them it raises, or stalls."""

    def __init__(self, *, breaks_after: int | None = None, timed: bool = True, stalls: bool = False) -> None:
        self.texts: list[str] = []
        self.voices: list[str] = []
        self.breaks_after = breaks_after
        self.timed = timed
        self.stalls = stalls

    async def warm_up(self) -> None:
        """Nothing to do."""

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        self.voices.append(voice)
        for place, word in enumerate(text.split()):
            if place == self.breaks_after:
                if self.stalls:
                    await asyncio.sleep(60)
                raise ProviderError("synthesizer", "voice", "broke off", retryable=True)
            words = ((word, place * WORD),) if self.timed else ()
            yield SpeechChunk(bytes(2 * int(WORD * LINE_RATE_HZ)), words)
            await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        """Nothing to do."""


def ladder(*voices: object) -> LadderSynthesizer:
    return LadderSynthesizer(
        [rung(f"v{place}", voice, port="synthesizer") for place, voice in enumerate(voices)], hedged=False
    )


async def speak(synthesizer: LadderSynthesizer, text: str = TEXT) -> list[SpeechChunk]:
    async with aclosing(synthesizer.synthesize(text, voice="joe", locale="en-US")) as speech:
        return [chunk async for chunk in speech]


def words_of(chunks: Sequence[SpeechChunk]) -> list[tuple[str, float]]:
    return [word for chunk in chunks for word in chunk.words]


def assert_each_word_once(chunks: Sequence[SpeechChunk]) -> None:
    """What the playback ledger relies on."""
    words = words_of(chunks)
    assert [word for word, _ in words] == TEXT.split()
    assert [start for _, start in words] == sorted(start for _, start in words)


def test_the_next_voice_speaks_the_whole_when_the_first_says_nothing() -> None:
    async def scenario() -> None:
        second = Voice()
        chunks = await speak(ladder(Voice(breaks_after=0), second))
        assert second.texts == [TEXT]
        assert_each_word_once(chunks)

    run_virtual(scenario())


def test_only_the_first_rung_is_given_the_agents_own_voice() -> None:
    async def scenario() -> None:
        first, second = Voice(breaks_after=0), Voice()
        await speak(ladder(first, second))
        assert set(first.voices) == {"joe"}
        assert second.voices == [""]

    run_virtual(scenario())


def test_a_fallback_speaks_with_the_voice_that_was_chosen_for_it() -> None:
    async def scenario() -> None:
        first, second = Voice(breaks_after=0), Voice()
        rungs = [rung("v0", first, port="synthesizer"), rung("v1", second, port="synthesizer")]
        await speak(LadderSynthesizer(rungs, voices={"v0": "nobody", "v1": "amy"}))
        assert set(first.voices) == {"joe"}
        assert second.voices == ["amy"]

    run_virtual(scenario())


def test_a_local_fallback_that_has_too_much_to_do_stops_no_start() -> None:
    class Busy(Voice):
        async def synthesize(
            self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
        ) -> AsyncGenerator[SpeechChunk, None]:
            raise ProviderError("synthesizer", "piper", "overloaded", retryable=True, fault="overloaded")
            yield SpeechChunk(b"", ())

    rungs = [rung("cloud", Voice(), port="synthesizer"), rung("piper", Busy(), port="synthesizer", local=True)]
    run_virtual(LadderSynthesizer(rungs, voices={"piper": "joe"}).warm_up())


@pytest.mark.parametrize("voice", ["amy", "joe"])
def test_a_local_fallbacks_voice_that_there_is_not_stops_the_start_and_not_a_call(voice: str) -> None:
    class OnlyJoe(Voice):
        async def synthesize(
            self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
        ) -> AsyncGenerator[SpeechChunk, None]:
            if voice not in ("", "joe"):
                raise ProviderError("synthesizer", "piper", f"there is no voice '{voice}' (known: joe)")
            async for chunk in super().synthesize(text, voice=voice, locale=locale, pace=pace):
                yield chunk

    async def start() -> None:
        rungs = [rung("cloud", Voice(), port="synthesizer"), rung("piper", OnlyJoe(), port="synthesizer", local=True)]
        await LadderSynthesizer(rungs, voices={"piper": voice}).warm_up()

    if voice == "joe":
        run_virtual(start())
    else:
        with pytest.raises(ConfigurationError, match="no voice 'amy'"):
            run_virtual(start())


def test_how_long_another_voice_took_to_go_on_is_measured() -> None:
    async def scenario() -> None:
        before = switches("synthesizer")
        await speak(ladder(Voice(breaks_after=3), Voice()))
        assert switches("synthesizer") == before + 1

    run_virtual(scenario())


def switches(port: str) -> float:
    name = "talkspurt_provider_switch_seconds_count"
    return metrics.REGISTRY.get_sample_value(name, {"port": port}) or 0.0


@pytest.mark.parametrize("stalls", [False, True])
def test_after_a_break_the_next_voice_begins_with_the_word_that_was_cut_off(stalls: bool) -> None:
    async def scenario() -> None:
        second = Voice()
        chunks = await speak(ladder(Voice(breaks_after=3, stalls=stalls), second))
        # Of "Your order is" the last word had only begun, as far as anybody can tell.
        assert second.texts == ["is on its way, Anna."]
        assert_each_word_once(chunks)

    run_virtual(scenario())


READ_BACK = "Refund W, two three seven, eight one five six, to your card?"


class Untimed(Voice):
    """Speaks `letters_per_second` of ordinary text without word times, and breaks off after so many seconds."""

    def __init__(self, letters_per_second: float, seconds: float) -> None:
        super().__init__(timed=False)
        self.letters_per_second = letters_per_second
        self.seconds = seconds

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        yield SpeechChunk(bytes(2 * round(self.seconds * LINE_RATE_HZ)))
        raise ProviderError("synthesizer", "voice", "broke off", retryable=True)

    def heard(self, text: str) -> list[str]:
        """The words that it has spoken whole."""
        return text[: int(self.seconds * self.letters_per_second) + 1].split(" ")[:-1]


@pytest.mark.parametrize("tenths", range(1, 100, 3))
# Letters a second: a spelled id, a voice that reads, a hurried one.
@pytest.mark.parametrize("rate", [8.5, 14.0, 20.0])
def test_without_word_times_no_word_is_left_out(rate: float, tenths: int) -> None:
    async def scenario() -> None:
        first, second = Untimed(rate, tenths / 10), Voice()
        await speak(ladder(first, second), READ_BACK)
        heard, again = first.heard(READ_BACK), second.texts[0].split()
        assert len(heard) + len(again) >= len(READ_BACK.split())
        assert READ_BACK.endswith(second.texts[0])

    run_virtual(scenario())


def test_without_word_times_the_next_voice_begins_with_a_clause() -> None:
    async def scenario() -> None:
        second = Voice()
        await speak(ladder(Untimed(14.0, 5.5), second), "Your order is on its way, Anna, as of yesterday.")
        assert second.texts == ["as of yesterday."]
        await speak(ladder(Untimed(14.0, 3.0), second), "Your order has left for the address that we have of you.")
        assert second.texts[-1] == "Your order has left for the address that we have of you."

    run_virtual(scenario())


@pytest.mark.parametrize("pace", [1.0, 2.0])
def test_a_fast_pace_is_not_counted_on(pace: float) -> None:
    async def scenario() -> None:
        second = Voice()
        synthesizer = ladder(Untimed(14.0, 4.0), second)
        text = "Your order is on its way, Anna, as of yesterday."
        async with aclosing(synthesizer.synthesize(text, voice="joe", locale="en-US", pace=pace)) as speech:
            _ = [chunk async for chunk in speech]
        # At twice the pace, its first two clauses would have been over.
        assert second.texts == [text]

    run_virtual(scenario())


@pytest.mark.parametrize("text", [TEXT, "On 2026-11-27, at 14:30.", "A, B, C, D, E, F.", "No."])
def test_only_a_stream_that_ends_in_order_has_said_the_last_words(text: str) -> None:
    async def scenario() -> None:
        second = Voice()
        await speak(ladder(Untimed(14.0, 60.0), second), text)
        assert second.texts
        assert text.endswith(second.texts[0])
        with pytest.raises(ProviderError):
            await speak(ladder(Untimed(14.0, 60.0)), text)

    run_virtual(scenario())


def test_more_words_named_than_there_are_leave_the_last_one_to_say() -> None:
    class Hyphens(Voice):
        async def synthesize(
            self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
        ) -> AsyncGenerator[SpeechChunk, None]:
            words = tuple((word, place * WORD) for place, word in enumerate(re.findall(r"\w+", text)))
            yield SpeechChunk(bytes(2 * LINE_RATE_HZ * 4), words)
            raise ProviderError("synthesizer", "voice", "broke off", retryable=True)

    async def scenario() -> None:
        second = Voice()
        await speak(ladder(Hyphens(), second), "An up-to-date-list.")
        assert second.texts == ["up-to-date-list."]

    run_virtual(scenario())


def placed(chunks: Sequence[SpeechChunk], text: str) -> tuple[float, ...]:
    """Where the playback ledger has the words."""
    playback = Playback()
    playback.order(1, text, 0.0)
    playback.started(1, 0, 0.0, text, 0.0)
    assert playback.placed(1, 0, tuple(start for _, start in words_of(chunks)))
    return playback.segments[1].starts


LONG = "Your order is on its way, Anna, as of yesterday."


def test_the_words_of_a_voice_without_word_times_lie_before_those_of_the_next_one() -> None:
    async def scenario() -> None:
        second = Voice()
        chunks = await speak(ladder(Untimed(14.0, 5.5), second), LONG)
        assert second.texts == ["as of yesterday."]
        assert [word for word, _ in words_of(chunks)] == LONG.split()
        starts = placed(chunks, LONG)
        assert starts[0] == 0.0
        assert list(starts[:7]) == sorted(set(starts[:7]))
        assert starts[6] < 5.5
        assert starts[7:] == pytest.approx([5.5, 5.5 + WORD, 5.5 + 2 * WORD])

    run_virtual(scenario())


def test_each_word_is_placed_once_when_voices_with_and_without_word_times_take_turns() -> None:
    async def scenario() -> None:
        third, fourth = Untimed(14.0, 4.3), Voice()
        # Two words, of which the second is cut off; then "order … way," twice, the first time by half.
        chunks = await speak(ladder(Voice(breaks_after=2), Untimed(14.0, 1.0), third, fourth), LONG)
        assert third.texts == [LONG.removeprefix("Your ")]
        assert fourth.texts == ["Anna, as of yesterday."]
        assert [word for word, _ in words_of(chunks)] == LONG.split()
        starts = placed(chunks, LONG)
        assert starts[:2] == (0.0, WORD)
        began = 2 * WORD + 1.0
        assert began < starts[2] < starts[5] < began + 4.3
        assert starts[6] == pytest.approx(began + 4.3)

    run_virtual(scenario())


class Paced(Voice):
    """Speaks pieces of so many seconds, each after a wait: `(wait, seconds)`; then it ends in order."""

    def __init__(self, *pieces: tuple[float, float]) -> None:
        super().__init__(timed=False)
        self.pieces = pieces

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        self.texts.append(text)
        for wait, seconds in self.pieces:
            await asyncio.sleep(wait)
            yield SpeechChunk(bytes(2 * round(seconds * LINE_RATE_HZ)))


def test_speech_that_drips_is_a_failure_although_no_pause_is_too_long() -> None:
    async def scenario() -> None:
        first, second = Paced(*[(0.96, 0.02)] * 300), Voice()
        await speak(ladder(first, second))
        assert second.texts == [TEXT]
        assert asyncio.get_running_loop().time() == pytest.approx(0.96 + BETWEEN, abs=0.2)

    run_virtual(scenario())


def test_where_nobody_could_go_on_a_slow_voice_is_heard_to_its_end_and_only_a_drip_given_up() -> None:
    async def scenario() -> None:
        await speak(ladder(Paced(*[(1.0, 0.3)] * 20)))
        assert asyncio.get_running_loop().time() == pytest.approx(20.0, abs=0.5)
        with pytest.raises(ProviderError, match="stalled"):
            await speak(ladder(Paced(*[(0.96, 0.02)] * 300)))

    run_virtual(scenario())


def test_what_was_ahead_is_played_before_a_drip_is_noticed() -> None:
    async def scenario() -> None:
        second = Voice()
        await speak(ladder(Paced((0.1, 3.0), *[(0.96, 0.02)] * 300), second))
        assert asyncio.get_running_loop().time() == pytest.approx(0.1 + 3.0 + BETWEEN, abs=0.2)
        assert second.texts

    run_virtual(scenario())


def test_a_voice_that_was_ahead_may_pause_no_longer_than_another() -> None:
    async def scenario() -> None:
        second = Voice()
        await speak(ladder(Paced((0.1, 10.0), (60.0, 0.02)), second))
        assert asyncio.get_running_loop().time() == pytest.approx(0.1 + BETWEEN, abs=0.2)
        assert second.texts

    run_virtual(scenario())


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([(0.96, 0.96)] * 20, id="as fast as it is played"),
        pytest.param([(0.1, 0.02), (1.4, 3.0), (1.4, 0.02), (1.4, 3.0)] * 5, id="in bursts"),
        pytest.param([(0.1, 0.1)] * 5 + [(0.4, 0.1)] * 4, id="late by less than the patience"),
    ],
)
def test_speech_that_keeps_up_is_no_failure(pieces: list[tuple[float, float]]) -> None:
    async def scenario() -> None:
        second = Voice()
        chunks = await speak(ladder(Paced(*pieces), second))
        assert len(chunks) == len(pieces)
        assert not second.texts

    run_virtual(scenario())


def test_who_takes_speech_slowly_does_not_count_against_the_voice() -> None:
    async def scenario() -> None:
        second = Voice()
        synthesizer = ladder(Paced(*[(0.02, 0.02)] * 400), second)
        async with aclosing(synthesizer.synthesize(TEXT, voice="joe", locale="en-US")) as speech:
            async for _ in speech:
                await asyncio.sleep(0.1)
        assert not second.texts

    run_virtual(scenario())


def test_what_was_played_while_nothing_was_asked_for_does_not_excuse_a_drip() -> None:
    async def scenario() -> None:
        second = Voice()
        synthesizer = ladder(Paced((0.1, 20.0), *[(0.96, 0.02)] * 300), second)
        began = asyncio.get_running_loop().time()
        async with aclosing(synthesizer.synthesize(TEXT, voice="joe", locale="en-US")) as speech:
            async for chunk in speech:
                if len(chunk.pcm) > 2 * LINE_RATE_HZ * 10:
                    # What the line does: it asks for more when little is left.
                    await asyncio.sleep(19.6)
        # The 20 pieces that had gathered meanwhile have been played, too.
        assert asyncio.get_running_loop().time() - began == pytest.approx(0.1 + 20.0 + 0.4 + BETWEEN, abs=0.5)
        assert second.texts

    run_virtual(scenario())


def test_a_second_break_goes_on_from_where_the_second_voice_was() -> None:
    async def scenario() -> None:
        second, third = Voice(breaks_after=2), Voice()
        chunks = await speak(ladder(Voice(breaks_after=3), second, third))
        assert third.texts == ["on its way, Anna."]
        assert_each_word_once(chunks)
        # Spoken were: Your order is, is on, on its way Anna.
        assert words_of(chunks)[-1] == ("Anna.", (3 + 2 + 3) * WORD)

    run_virtual(scenario())


def test_when_nobody_is_left_the_failure_is_told() -> None:
    async def scenario() -> None:
        with pytest.raises(ProviderError):
            await speak(ladder(Voice(breaks_after=2), Voice(breaks_after=0)))

    run_virtual(scenario())


def test_text_without_a_word_is_silence_and_no_failure() -> None:
    async def scenario() -> None:
        voice = Voice()
        assert await speak(ladder(voice, Voice()), " … ") == []
        assert not voice.texts

    run_virtual(scenario())


def test_a_phrase_that_was_said_before_is_played_from_memory_while_its_vendor_is_down() -> None:
    async def scenario() -> None:
        first, second = Voice(), Voice()
        cached = PhraseCache(first)
        synthesizer = ladder(cached, PhraseCache(second))
        said = await speak(synthesizer)
        first.breaks_after = 0
        for _ in range(FAILURES + 1):
            await speak(synthesizer, "Something else.")
        began = asyncio.get_running_loop().time()
        assert await speak(synthesizer) == said
        assert asyncio.get_running_loop().time() - began < 0.02
        assert TEXT not in second.texts
        await synthesizer.aclose()

    run_virtual(scenario())


def test_stock_phrases_are_heard_when_every_vendor_is_down() -> None:
    async def scenario() -> None:
        first, second = Voice(), Voice()
        synthesizer = ladder(PhraseCache(first), PhraseCache(second))
        await synthesizer.learn(TEXT, voice="joe", locale="en-US")
        first.breaks_after = second.breaks_after = 0
        assert_each_word_once(await speak(synthesizer))
        assert second.texts == []
        with pytest.raises(ProviderError):
            await speak(synthesizer, "Something else.")
        await synthesizer.aclose()

    run_virtual(scenario())


def test_the_voice_of_an_outage_goes_with_it() -> None:
    async def scenario() -> None:
        first, second = Voice(breaks_after=0), Voice()
        synthesizer = ladder(PhraseCache(first), PhraseCache(second))
        await speak(synthesizer)
        assert second.texts == [TEXT]
        first.breaks_after = None
        await speak(synthesizer)
        assert first.texts[-1] == TEXT
        assert second.texts == [TEXT]
        await synthesizer.aclose()

    run_virtual(scenario())


def test_a_stock_phrase_that_the_first_voice_cannot_say_now_is_learnt_from_the_next() -> None:
    async def scenario() -> None:
        first, second = Voice(breaks_after=0), Voice()
        synthesizer = ladder(PhraseCache(first), PhraseCache(second))
        await synthesizer.learn(TEXT, voice="joe", locale="en-US")
        for _ in range(FAILURES):
            await speak(synthesizer, "Something else.")
        asked = len(first.texts)
        assert_each_word_once(await speak(synthesizer))
        assert len(first.texts) == asked, "what is known is played, and nobody is asked"
        await synthesizer.aclose()

    run_virtual(scenario())


def test_a_voice_that_hangs_is_replaced_when_its_patience_is_over() -> None:
    async def scenario() -> None:
        await speak(ladder(Voice(breaks_after=0, stalls=True), Voice()))
        assert asyncio.get_running_loop().time() < FIRST + 0.5

    run_virtual(scenario())


def hedged(first: Voice, second: Voice) -> LadderSynthesizer:
    return LadderSynthesizer(
        [rung(f"v{place}", PhraseCache(voice), port="synthesizer") for place, voice in enumerate((first, second))]
    )


async def learn_what_is_usual(synthesizer: LadderSynthesizer) -> None:
    for number in range(FEWEST_OUTPUTS):
        await speak(synthesizer, f"Sentence {number}.")


def test_a_hedge_is_a_request_of_its_own_although_the_cache_shares_identical_ones() -> None:
    class HangsOnce(Voice):
        """It hangs when it is first asked for the text."""

        async def synthesize(
            self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
        ) -> AsyncGenerator[SpeechChunk, None]:
            if text == TEXT and TEXT not in self.texts:
                self.texts.append(text)
                await asyncio.sleep(60)
            speech = super().synthesize(text, voice=voice, locale=locale, pace=pace)
            async with aclosing(speech):
                async for chunk in speech:
                    yield chunk

    async def scenario() -> None:
        first, second = HangsOnce(), Voice()
        synthesizer = hedged(first, second)
        await learn_what_is_usual(synthesizer)
        began = asyncio.get_running_loop().time()
        assert_each_word_once(await speak(synthesizer))
        assert asyncio.get_running_loop().time() - began < SOONEST_HEDGE + 0.2
        assert first.texts.count(TEXT) == 2
        assert not second.texts
        await synthesizer.aclose()

    run_virtual(scenario())


def test_a_hedge_does_not_put_off_the_next_voice() -> None:
    async def scenario() -> None:
        first, second = Voice(), Voice()
        synthesizer = hedged(first, second)
        await learn_what_is_usual(synthesizer)
        first.breaks_after, first.stalls = 0, True
        began = asyncio.get_running_loop().time()
        assert_each_word_once(await speak(synthesizer))
        assert asyncio.get_running_loop().time() - began == pytest.approx(FIRST, abs=0.1)
        assert first.texts.count(TEXT) == 2
        await synthesizer.aclose()

    run_virtual(scenario())
