"""Whatever breaks, and whenever the caller hangs up: the session ends or is heard again, and leaves nothing behind."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from session.line import VirtualLine
from session.stage import Stage, cancelled_orders, on_virtual_time, stage
from talkspurt import Caller, tool
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered
from talkspurt.core.playback import MARKS_APART
from talkspurt.core.states import Ended
from talkspurt.errors import ProviderError
from talkspurt.ladder import LadderModel, LadderRecognizer, Patience, Rung
from talkspurt.ports import (
    LINE_RATE_HZ,
    LineListener,
    ReplyPart,
    ReplyRequest,
    SpeechChunk,
    TextDelta,
    ToolCallDelta,
    ToolCallPart,
    Transcript,
)
from talkspurt.server.handover.last_resort import TROUBLE
from talkspurt.testing.handover import MemoryDesk
from talkspurt.testing.providers import ScriptedModel, ScriptedRecognizer, ToneSynthesizer
from talkspurt.testing.virtual_time import VirtualTimeLoop, run_virtual


def cancelling(request: ReplyRequest) -> list[ReplyPart]:
    """Asks for an effect, and tells what came of it."""
    last = request.history[-1]
    if isinstance(last, CallerSaid) and "cancel" in last.text:
        return [ToolCallPart(f"t{len(request.history)}", "cancel_order", '{"order_id":"W1"}')]
    return [TextDelta("Done." if isinstance(last, ToolAnswered) and "cancelled" in last.content else "Nothing done.")]


# ── hanging up ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("moment", [round(0.01 + 0.17 * step, 2) for step in range(64)])
def test_a_hang_up_at_any_moment_ends_the_session_and_leaves_nothing_running(moment: float) -> None:
    done: list[str] = []

    async def word(caller: Caller) -> str:
        await asyncio.sleep(0.3)
        return "I will refund you. Shall I?"

    @tool(effect=True, read_back=word)
    async def refund(caller: Caller) -> dict[str, str]:
        """Refund."""
        await asyncio.sleep(0.7)
        done.append("refunded")
        return {"status": "refunded"}

    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("It is refunded and all is well.")]
        return [TextDelta("One moment. "), ToolCallPart(f"t{len(request.history)}", "refund", "{}")]

    async def converse(call: Stage) -> None:
        await call.says(0.6)
        await call.until(lambda: "Shall I?" in call.synthesizer.spoken)
        await call.says(0.6)

    async def run() -> None:
        before = asyncio.all_tasks()
        async with stage(ScriptedModel(script), ["refund me", "yes"], tools=(refund,)) as call:
            caller = asyncio.create_task(converse(call))
            await asyncio.sleep(moment)
            assert call.line.listener is not None
            call.line.listener.line_closed(hung_up=True)
            assert await asyncio.wait_for(call.task, 5) == "caller_hung_up"
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            states = [record.state for record in call.ledger.records.values()]
            # What was begun was carried through; what was only proposed can never be executed.
            assert states in ([], ["withdrawn"], ["done"])
            assert done == ["refunded"] * states.count("done")
        assert asyncio.all_tasks() == before

    run_virtual(run())


# ── providers that break ──────────────────────────────────────────────────────────


class Deaf(ScriptedRecognizer):
    """A recognizer whose stream ends, breaks or says nothing at all."""

    def __init__(self, fault: str) -> None:
        super().__init__(())
        self._fault = fault

    async def open(self, *, locale: str, call_id: str) -> "Deaf._Stream":  # type: ignore[override]
        return Deaf._Stream(self._fault)

    class _Stream:
        def __init__(self, fault: str) -> None:
            self._fault = fault

        def feed(self, pcm: bytes, /) -> None: ...

        def begin(self, utterance: int, lead_in: float, /) -> None: ...

        def finalize(self, utterance: int, revision: int, /) -> None: ...

        def end(self, utterance: int, /) -> None: ...

        async def transcripts(self) -> AsyncIterator[Transcript]:
            if self._fault == "breaks":
                raise RuntimeError("the vendor's SDK is at a loss")
            if self._fault == "hangs":
                await asyncio.Event().wait()
            yield Transcript(99, 99, "words of nobody")

        async def aclose(self) -> None: ...


@pytest.mark.parametrize("fault", ["ends", "breaks", "hangs"])
def test_a_recognizer_that_hears_nothing_leads_to_reprompts_and_a_goodbye(fault: str) -> None:
    async def run() -> None:
        async with stage(ScriptedModel.saying("Hi."), recognizer=Deaf(fault)) as call:
            for _ in range(3):
                await call.says()
            assert await asyncio.wait_for(call.task, 30) == "not_understood"
            assert sum("catch that" in text or "can't hear" in text for text in call.synthesizer.spoken) == 2

    run_virtual(run())


@on_virtual_time
async def test_a_model_that_never_answers_leaves_nobody_in_silence() -> None:
    async with stage(ScriptedModel.saying("Too late.", first=3600), ["hello"] * 3) as call:
        for _ in range(3):
            await call.says()
        assert await asyncio.wait_for(call.task, 60) == "no_reply"
        assert len(call.model.requests) == 6
        silences = [later - earlier for earlier, later in pairwise(call.line.audible)]
        # The longest are those in which the caller spoke for a second themselves.
        assert 1.5 < max(silences) < 3.5


@on_virtual_time
async def test_a_tool_call_that_takes_long_to_write_is_waited_for() -> None:
    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("Here you are.")]
        return [*[ToolCallDelta(4)] * 24, ToolCallPart("t1", "nothing_of_the_kind", "{}")]

    model = ScriptedModel(script, between=0.5)
    ladder = LadderModel([Rung("model", "scripted", model, Patience(2.0, 2.0), local=False)])
    async with stage(ladder, ["hello"]) as call:  # type: ignore[arg-type]
        await call.says()
        await call.until(lambda: "Here you are." in call.synthesizer.spoken)
        assert len(model.requests) == 2


@on_virtual_time
async def test_a_synthesizer_that_hangs_ends_the_call() -> None:
    async with stage(ScriptedModel.saying("Hi."), synthesizer=ToneSynthesizer(first=3600)) as call:
        assert await asyncio.wait_for(call.task, 60) == "no_speech"


class Lagging(ToneSynthesizer):
    """Its first segment comes just as the loop was held up beyond the moment at which it is given up."""

    def __init__(self) -> None:
        super().__init__()
        self.held_up = False

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        if not self.held_up:
            self.held_up = True
            await asyncio.sleep(7.9)
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualTimeLoop)
            loop.advance(0.2)
            for _ in range(3):
                yield SpeechChunk(b"\x00\x70" * LINE_RATE_HZ)
            return
        async for chunk in super().synthesize(text, voice=voice, locale=locale):
            yield chunk


@on_virtual_time
async def test_speech_that_was_given_up_is_not_put_on_the_line_and_takes_nothing_with_it() -> None:
    async with stage(ScriptedModel.saying("Hi."), synthesizer=Lagging()) as call:
        await call.listening()
        assert asyncio.get_running_loop().time() < 20
        assert b"\x00\x70" not in bytes(call.line.played[:320])
        assert call.line.played.count(b"\x00\x70\x00\x70") == 0
        assert any("went wrong" in text for text in call.synthesizer.spoken)


class LateWithNews(ToneSynthesizer):
    """Is late with what it says the first time; of its stock phrases, too, if `slow`."""

    def __init__(self, late: float, *, slow: float = 0.0) -> None:
        super().__init__()
        self._late = late
        self._slow = slow

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        await asyncio.sleep(self._late if text == "It is sunny." else self._slow if "moment" in text else 0.0)
        async for chunk in super().synthesize(text, voice=voice, locale=locale, pace=pace):
            yield chunk


def answers(call: Stage) -> list[str]:
    """What the agent was heard to say behind its greeting."""
    return [entry.text for entry in call.recorder.entries if isinstance(entry, AgentSaid)][1:]


@on_virtual_time
async def test_a_sentence_that_is_late_is_bridged_by_a_filler_before_it() -> None:
    async with stage(ScriptedModel.saying("It is sunny."), ["please"], synthesizer=LateWithNews(3.0)) as call:
        await call.listening()
        silent = asyncio.get_running_loop().time() + 1.0
        await call.says()
        await call.listening()
        assert answers(call) == ["One moment, please.", "It is sunny."]
        heard = [moment for moment in call.line.audible if moment > silent]
        assert heard[0] - silent <= 1.7
        assert max(after - before for before, after in pairwise(heard)) < 2.0


@on_virtual_time
async def test_a_filler_that_is_late_itself_is_left_out() -> None:
    synthesizer = LateWithNews(1.5, slow=3.0)
    async with stage(ScriptedModel.saying("It is sunny."), ["please"], synthesizer=synthesizer) as call:
        await call.says()
        await call.listening()
        assert answers(call) == ["It is sunny."]
        await asyncio.sleep(4)
        assert answers(call) == ["It is sunny."]


# ── hostile and late news ─────────────────────────────────────────────────────────


@on_virtual_time
async def test_a_mark_of_audio_that_was_never_sent_proves_nothing() -> None:
    done, cancel_order = cancelled_orders()
    async with stage(ScriptedModel(cancelling), ["cancel it", "yes"], tools=(cancel_order,)) as call:
        await call.says()
        await call.until(lambda: any("Shall I go ahead?" in text for text in call.synthesizer.spoken))
        await asyncio.sleep(0.4)
        assert call.line.listener is not None
        for epoch in range(3):
            call.line.listener.mark_received(f"{epoch}:99999999")
        call.line.speak(0.5)
        await asyncio.sleep(8)
        assert done == []


@on_virtual_time
async def test_a_mark_tells_how_much_was_sent_behind_it() -> None:
    async with stage(
        ScriptedModel.saying("It is sunny, and it will stay like that for the whole week."), ["go"]
    ) as call:
        await call.says()
        await call.until(lambda: len(call.synthesizer.spoken) > 1)
        playback = call.session._conversation._agent.playback
        greeted = playback.heard
        await call.until(lambda: playback.heard > greeted)
        assert call.line.listener is not None
        sent, marked = call.session._outgoing.sent, playback.heard + 0.01
        call.line.listener.mark_received(f"{playback.epoch}:{round(marked * 8000)}")
        assert playback.heard == pytest.approx(marked, abs=1e-3)
        assert playback.ahead == pytest.approx(min(sent / 8000 - marked, MARKS_APART), abs=1e-3)
        # The whole of it: nothing is played behind that.
        call.line.listener.mark_received(f"{playback.epoch}:{call.session._outgoing.sent}")
        assert playback.ahead == 0.0


# ── effects and the end of a call ─────────────────────────────────────────────────


@on_virtual_time
async def test_an_effect_that_hands_the_call_over_does() -> None:
    async def word(caller: Caller) -> str:
        return "I will put you through to billing. Shall I?"

    @tool(effect=True, read_back=word)
    async def transfer(caller: Caller) -> dict[str, Any]:
        """Put the caller through."""
        caller.desk = MemoryDesk(targets=("billing",))
        return (await caller.hand_over("a bill", target="billing")).facts()

    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("One moment please.")]
        return [ToolCallPart(f"t{len(request.history)}", "transfer", "{}")]

    async with stage(ScriptedModel(script), ["billing", "yes"], tools=(transfer,)) as call:
        await call.says()
        await call.until(lambda: "Shall I?" in call.synthesizer.spoken)
        await call.says()
        assert await asyncio.wait_for(call.task, 20) == "handover"


@on_virtual_time
async def test_a_goodbye_gives_way_to_the_question_of_an_effect() -> None:
    done, cancel_order = cancelled_orders()

    def script(request: ReplyRequest) -> list[ReplyPart]:
        last = request.history[-1]
        if isinstance(last, ToolAnswered):
            return [TextDelta("It is cancelled.")]
        return [ToolCallPart("t1", "cancel_order", '{"order_id":"W1"}'), ToolCallPart("t2", "end_call", "{}")]

    async with stage(ScriptedModel(script), ["cancel it and goodbye", "yes"], tools=(cancel_order,)) as call:
        await call.says()
        await call.until(lambda: "Shall I go ahead?" in call.synthesizer.spoken)
        await call.says()
        await call.until(lambda: done == ["W1"])
        await call.until(lambda: AgentSaid("It is cancelled.") in call.recorder.entries)


# ── lines and processes that are lost ─────────────────────────────────────────────


@on_virtual_time
async def test_a_call_whose_line_was_lost_with_its_process_is_heard_again() -> None:
    long = "One two three. Four five six. Seven eight nine. Ten eleven twelve."
    async with stage(ScriptedModel.saying(long), ["count"]) as first:
        await first.says()
        await first.until(lambda: type(first.session.floor).__name__ == "Speaking")
        await asyncio.sleep(2.5)
        assert first.line.listener is not None
        first.line.listener.line_closed(hung_up=False)
        snapshot = json.loads(json.dumps(first.recorder.snapshots[-1]))
    assert snapshot["floor"]["~"] == "Lost"
    async with stage(ScriptedModel.saying("As I said."), ["again"], snapshot=snapshot) as second:
        began = asyncio.get_running_loop().time()
        await second.until(lambda: bool(second.line.played), 2)
        await second.listening()
        # The rest was heard and proven by marks: nobody had to wait for marks that never came.
        assert asyncio.get_running_loop().time() - began < 5
        await second.says()
        await second.until(lambda: AgentSaid("As I said.") in second.recorder.entries)
        heard = " ".join(e.text for e in second.model.requests[0].history if isinstance(e, AgentSaid))
        assert heard == f"Hello there. {long}"


@on_virtual_time
async def test_a_call_that_had_ended_with_its_process_ends_at_once() -> None:
    async with stage(ScriptedModel.saying("Hi.")) as first:
        await first.listening()
        assert first.line.listener is not None
        first.line.listener.line_closed(hung_up=True)
        await first.task
        snapshot = {**first.recorder.snapshots[-1], "floor": {"~": "Ended", "at": 2.0, "reason": "caller_hung_up"}}
    async with stage(ScriptedModel.saying("Hi."), snapshot=snapshot) as second:
        assert await asyncio.wait_for(second.task, 5) == "caller_hung_up"
        assert isinstance(second.session.floor, Ended)


@on_virtual_time
async def test_a_pending_effect_does_not_survive_its_process_unconfirmed() -> None:
    done, cancel_order = cancelled_orders()
    async with stage(ScriptedModel(cancelling), ["cancel it"], tools=(cancel_order,)) as first:
        await first.says()
        await first.until(lambda: "Shall I go ahead?" in first.synthesizer.spoken)
        await first.listening()
        snapshot = json.loads(json.dumps(first.recorder.snapshots[-1]))
    assert snapshot["pending"]
    async with stage(
        ScriptedModel(cancelling), ["yes", "cancel", "yes"], tools=(cancel_order,), snapshot=snapshot
    ) as call:
        await call.until(lambda: any("cut off" in text for text in call.synthesizer.spoken))
        await call.says()
        await call.until(lambda: AgentSaid("Nothing done.") in call.recorder.entries)
        assert done == []
        await call.says()
        await call.until(lambda: "Shall I go ahead?" in call.synthesizer.spoken)
        await call.says()
        await call.until(lambda: done == ["W1"])


class SlowToOpen(ScriptedRecognizer):
    """Takes its time to connect."""

    async def open(self, *, locale: str, call_id: str):  # type: ignore[no-untyped-def]
        await asyncio.sleep(1)
        return await super().open(locale=locale, call_id=call_id)


@on_virtual_time
async def test_a_second_line_while_the_first_is_being_opened_takes_its_place() -> None:
    recognizer = SlowToOpen(["hello"])
    async with stage(ScriptedModel.saying("It is on its way."), recognizer=recognizer) as call:
        await asyncio.sleep(0.5)
        call.line.closed = True
        second = VirtualLine()
        playing = asyncio.create_task(second.run())
        call.session.attach(second, 2)
        await call.listening()
        assert second.played
        assert not call.line.played
        second.speak(1.0)
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
        playing.cancel()


@on_virtual_time
async def test_a_hang_up_while_the_call_is_being_opened_ends_it() -> None:
    async with stage(ScriptedModel.saying("Hi."), recognizer=SlowToOpen(())) as call:
        await asyncio.sleep(0.5)
        call.session.hung_up()
        assert await asyncio.wait_for(call.task, 5) == "caller_hung_up"
        assert call.synthesizer.spoken == []


class LostLine(VirtualLine):
    """Was lost before anybody listened to it, and says so then, as the real transport does."""

    def listen(self, listener: LineListener, /) -> None:
        super().listen(listener)
        self.closed = True
        listener.line_closed(hung_up=True)


@on_virtual_time
async def test_a_line_that_was_lost_before_it_was_listened_to_is_known_to_be_lost() -> None:
    async with stage(ScriptedModel.saying("Hi."), line=LostLine()) as call:
        assert await asyncio.wait_for(call.task, 5) == "caller_hung_up"


@on_virtual_time
async def test_a_call_whose_only_recognizer_cannot_be_reached_is_told_so_and_ends_where_people_are_asked() -> None:
    class Refusing(ScriptedRecognizer):
        async def open(self, *, locale: str, call_id: str):  # type: ignore[no-untyped-def]
            raise ProviderError("recognizer", "test", "no", retryable=True)

    recognizer = LadderRecognizer([Rung("recognizer", "only", Refusing(()), Patience(1.0, 1.5))])
    async with stage(ScriptedModel.saying("Hi."), recognizer=recognizer) as call:
        for _ in range(3):
            await call.says()
        assert await asyncio.wait_for(call.task, 20) in TROUBLE
        assert call.synthesizer.spoken[0] == "Hello there."
        assert len(call.synthesizer.spoken) >= 3


@on_virtual_time
async def test_a_caller_who_speaks_when_the_line_comes_back_is_heard() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["cut off", "where is it"]) as call:
        await call.listening()
        call.line.speak(9)
        await asyncio.sleep(1)
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=False)
        call.line.closed = True
        await asyncio.sleep(2)
        second = VirtualLine()
        playing = asyncio.create_task(second.run())
        second.speak(3.0)
        call.session.attach(second, 2)
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
        playing.cancel()
