"""The session carries facts and commands faithfully: one call on a virtual line and a virtual clock."""

import asyncio
import audioop
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from session.line import VOICE, VirtualLine
from session.stage import cancelled_orders, on_virtual_time, stage
from talkspurt import Caller, tool
from talkspurt.core.history import AgentSaid, CallerSaid, ToolAnswered, ToolCalled
from talkspurt.errors import ProviderError
from talkspurt.media.echo import SHORTEST
from talkspurt.media.evidence import Evidence, LineEvidence
from talkspurt.ports import ReplyPart, ReplyRequest, SpeechChunk, TextDelta, ToolCallPart
from talkspurt.session import Session
from talkspurt.speech.inference import current_purpose
from talkspurt.testing.providers import LOUD, ScriptedModel, ScriptedRecognizer, ToneSynthesizer
from talkspurt.testing.virtual_time import run_virtual


@on_virtual_time
async def test_a_plain_turn_is_heard_answered_and_recorded() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["where is my order"]) as call:
        await call.says()
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
        assert call.recorder.entries == [
            AgentSaid("Hello there."),
            CallerSaid("where is my order"),
            AgentSaid("It is on its way."),
        ]
        assert call.model.requests[0].history == (AgentSaid("Hello there."), CallerSaid("where is my order"))


@on_virtual_time
async def test_audio_is_sent_between_200_and_400_ms_ahead() -> None:
    async with stage(ScriptedModel.saying("One two three four five six seven eight nine ten."), ["count"]) as call:
        await call.says()
        await call.until(lambda: len(call.recorder.entries) == 3)
        assert 0.2 <= call.line.sent_ahead <= 0.4


@on_virtual_time
async def test_a_barge_in_clears_the_line_and_only_what_was_heard_enters_history() -> None:
    long = " ".join(f"word{n}" for n in range(30)) + "."
    async with stage(ScriptedModel.saying(long, "All right."), ["tell me all", "stop"]) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(2.0)
        began = asyncio.get_running_loop().time()
        call.line.speak(0.8)
        await call.until(lambda: bool(call.line.clears))
        assert call.line.clears[0] - began < 0.2
        await call.until(lambda: AgentSaid("All right.") in call.recorder.entries)
        cut = call.recorder.entries[2]
        assert isinstance(cut, AgentSaid)
        assert cut.interrupted
        assert long.startswith(cut.text)
        # A word lasts half a second here, and marks come every 160 ms: between three and five words in 2 s.
        assert 3 <= len(cut.text.split()) <= 5


@pytest.mark.interpreted
def test_a_voice_that_begins_is_measured_for_long_enough_to_know_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A talkspurt may begin at two windows, of which no echo could be told."""
    measured: list[int] = []
    measure = LineEvidence.measure

    def noting(line: LineEvidence, first: int, last: int, *, echo: float | None = None) -> Evidence:
        measured.append(last - first)
        return measure(line, first, last, echo=echo)

    monkeypatch.setattr(LineEvidence, "measure", noting)

    async def call_with_a_barge_in() -> None:
        async with stage(ScriptedModel.saying("You can return it within thirty days."), ["can I", ""]) as call:
            await call.says()
            await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
            await asyncio.sleep(1.0)
            measured.clear()
            call.line.speak(0.3)
            await call.until(lambda: bool(call.line.clears))

    run_virtual(call_with_a_barge_in())
    assert measured
    assert measured[0] >= SHORTEST


@on_virtual_time
async def test_a_noise_over_the_agent_costs_no_word() -> None:
    async with stage(ScriptedModel.saying("You can return it within thirty days."), ["can I return it", ""]) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(1.0)
        call.line.speak(0.3)
        await call.until(lambda: bool(call.line.clears))
        await call.listening()
        assert " ".join(e.text for e in call.recorder.entries[2:] if isinstance(e, AgentSaid)) == (
            "You can return it within thirty days."
        )


@pytest.mark.parametrize("slow", [0.0, 3.0])
def test_latency_is_from_the_callers_last_sample_to_the_reply_whatever_is_heard_between(
    slow: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filler is no reply, and neither is the rest of one that a cough had stopped."""
    measured: list[float] = []
    monkeypatch.setattr("talkspurt.speaker.TURN_LATENCY.observe", measured.append)

    async def call_of_two() -> None:
        model = ScriptedModel.saying("You can return it within thirty days.", first=0.15 + slow)
        async with stage(model, ["can I return it", ""]) as call:
            await call.says()
            await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
            await asyncio.sleep(slow + 1.0)
            call.line.speak(0.3)
            await call.until(lambda: bool(call.line.clears))
            await call.listening()

    run_virtual(call_of_two())
    (latency,) = measured
    assert slow < latency < slow + 1.5


@on_virtual_time
async def test_a_backchannel_over_an_echo_lasts_as_long_as_it_does_without() -> None:
    long = " ".join(f"word{n}" for n in range(12)) + "."
    async with stage(ScriptedModel.saying(long), ["tell me all", "so do that"]) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(1.0)
        faint = audioop.mul(VOICE, 2, 0.06)
        assert audioop.max(faint, 2) > LOUD, "the detector must take it for a voice"
        call.line.sounds.extend([faint] * 40 + [VOICE] * 20)
        await call.until(lambda: bool(call.line.clears))
        await call.listening()
        assert CallerSaid("so do that") not in call.recorder.entries


@on_virtual_time
async def test_a_tool_runs_and_its_result_reaches_the_model() -> None:
    @tool
    async def look_up(order_id: str) -> dict[str, str]:
        """Look an order up.

        order_id: The order.
        """
        return {"status": "delivered"}

    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("It was delivered.")]
        return [TextDelta("Let me see. "), ToolCallPart("t1", "look_up", '{"order_id":"W1"}')]

    async with stage(ScriptedModel(script), ["order W1"], tools=(look_up,)) as call:
        await call.says()
        await call.until(lambda: AgentSaid("It was delivered.") in call.recorder.entries)
        assert call.recorder.entries[2:5] == [
            AgentSaid("Let me see."),
            ToolCalled("t1", "look_up", '{"order_id":"W1"}'),
            ToolAnswered("t1", "look_up", '{"status": "delivered"}'),
        ]


@on_virtual_time
async def test_what_a_model_says_before_it_asks_for_a_tool_is_said_whole() -> None:
    @tool
    async def look_up() -> dict[str, str]:
        """Look it up."""
        return {"status": "delivered"}

    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("It was "), TextDelta("delivered "), TextDelta("today")]
        return [TextDelta("Let "), TextDelta("me "), TextDelta("look"), ToolCallPart("t1", "look_up", "{}")]

    async with stage(ScriptedModel(script), ["order W1"], tools=(look_up,)) as call:
        await call.says()
        await call.until(lambda: AgentSaid("It was delivered today") in call.recorder.entries)
        assert AgentSaid("Let me look") in call.recorder.entries


@on_virtual_time
async def test_a_timer_is_set_seldom_for_what_is_put_off_again_and_again() -> None:
    long = " ".join(f"word{n}" for n in range(30)) + "."
    loop, armed = asyncio.get_running_loop(), list[float]()
    call_at = loop.call_at

    def counting(when: float, callback: Any, *arguments: Any, **options: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__func__", None) is Session._timer_fired:
            armed.append(when)
        return call_at(when, callback, *arguments, **options)

    async with stage(ScriptedModel.saying(long), ["tell me all"]) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        loop.call_at = counting  # type: ignore[assignment, method-assign]
        await call.listening()
        # It takes 15 s to say, with a hundred marks.
        assert 0 < len(armed) < 15


def cancelling(request: ReplyRequest) -> list[ReplyPart]:
    last = request.history[-1]
    if isinstance(last, CallerSaid) and "cancel" in last.text:
        return [ToolCallPart(f"t{len(request.history)}", "cancel_order", '{"order_id":"W1"}')]
    return [TextDelta("Done." if isinstance(last, ToolAnswered) and "cancelled" in last.content else "Nothing done.")]


@pytest.mark.parametrize(
    ("answer", "expected"), [("yes please", ["W1"]), ("no", []), ("what was that", []), ("", [])], ids=str
)
def test_an_effect_needs_a_clear_yes_after_its_read_back(answer: str, expected: list[str]) -> None:
    done, cancel_order = cancelled_orders()

    async def run() -> None:
        async with stage(ScriptedModel(cancelling), ["cancel it", answer], tools=(cancel_order,)) as call:
            await call.says()
            await call.until(lambda: "Shall I go ahead?" in call.synthesizer.spoken)
            assert done == []
            await call.says()
            await asyncio.sleep(6)
            assert done == expected

    run_virtual(run())


@on_virtual_time
async def test_a_yes_before_the_details_were_heard_confirms_nothing() -> None:
    done, cancel_order = cancelled_orders()
    async with stage(ScriptedModel(cancelling), ["cancel it", "yes"], tools=(cancel_order,)) as call:
        await call.says()
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        await asyncio.sleep(0.5)
        call.line.speak(0.5)
        await asyncio.sleep(8)
        # It says no more than "go on": the details are read out to their end, and the question is asked.
        assert done == []
        assert any("Shall I go ahead?" in entry.text for entry in call.recorder.entries if isinstance(entry, AgentSaid))


@on_virtual_time
async def test_a_failing_model_is_asked_once_more_and_then_apologised_for() -> None:
    model = ScriptedModel(lambda _request: [ProviderError("model", "test", "down")])
    async with stage(model, ["hello", "hello", "hello"]) as call:
        await call.says()
        await call.until(lambda: any("went wrong" in text for text in call.synthesizer.spoken))
        assert len(model.requests) == 2
        await call.says()
        await call.says()
        assert await asyncio.wait_for(call.task, 30) == "no_reply"


@on_virtual_time
async def test_a_dead_synthesizer_ends_the_call_instead_of_leaving_silence() -> None:
    async with stage(ScriptedModel.saying("Hi.")) as call:
        call.synthesizer.failing = True
        assert await asyncio.wait_for(call.task, 60) == "no_speech"


@on_virtual_time
async def test_a_silent_caller_is_asked_after_10_s_and_left_after_30_s() -> None:
    async with stage(ScriptedModel.saying("Hi.")) as call:
        await call.listening()
        quiet = asyncio.get_running_loop().time()
        await call.until(lambda: "Are you still there?" in call.synthesizer.spoken)
        assert asyncio.get_running_loop().time() - quiet == pytest.approx(10, abs=0.2)
        assert await asyncio.wait_for(call.task, 60) == "caller_silent"
        assert 30 < asyncio.get_running_loop().time() - quiet < 40


@on_virtual_time
async def test_the_agent_hangs_up_only_after_its_goodbye_was_heard() -> None:
    model = ScriptedModel(lambda _request: [TextDelta("Goodbye and take care."), ToolCallPart("e", "end_call", "{}")])
    async with stage(model, ["that is all"]) as call:
        await call.says()
        assert await asyncio.wait_for(call.task, 30) == "agent_goodbye"
        assert call.recorder.entries[-1] == AgentSaid("Goodbye and take care.")


@on_virtual_time
async def test_digits_typed_during_speech_interrupt_it_and_are_a_turn() -> None:
    async with stage(ScriptedModel.saying("Thank you."), []) as call:
        await call.until(lambda: type(call.session.floor).__name__ == "Speaking")
        call.line.press("19122#")
        await call.until(lambda: AgentSaid("Thank you.") in call.recorder.entries)
        assert CallerSaid("19122", "keypad") in call.recorder.entries
        assert call.line.clears


@on_virtual_time
async def test_a_hang_up_lets_a_confirmed_effect_finish() -> None:
    done: list[str] = []

    async def word(caller: Caller) -> str:
        return "I will refund you. Shall I?"

    @tool(effect=True, read_back=word)
    async def refund(caller: Caller) -> dict[str, str]:
        """Refund."""
        await asyncio.sleep(2)
        done.append("refunded")
        return {"status": "refunded"}

    def script(request: ReplyRequest) -> list[ReplyPart]:
        return [ToolCallPart(f"t{len(request.history)}", "refund", "{}")]

    async with stage(ScriptedModel(script), ["refund me", "yes"], tools=(refund,)) as call:
        await call.says()
        await call.until(lambda: "Shall I?" in call.synthesizer.spoken)
        await call.says()
        await call.until(lambda: any(record.state == "executing" for record in call.ledger.records.values()))
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=True)
        assert await asyncio.wait_for(call.task, 30) == "caller_hung_up"
        assert done == ["refunded"]


@pytest.mark.parametrize("delay", [0.2, 1.6], ids=["being_executed", "came_late"])
def test_that_an_effect_is_being_executed_is_stored_without_waiting_for_other_calls(delay: float) -> None:
    """Whoever takes the call up asks only after those that its state knows of.

    Behind a yes that came late the caller is being told that it takes a moment, and nothing of this is in the
    transcript before they have heard it.
    """

    def script(request: ReplyRequest) -> list[ReplyPart]:
        if isinstance(request.history[-1], ToolAnswered):
            return [TextDelta("It is cancelled.")]
        return [ToolCallPart(f"t{len(request.history)}", "cancel_order", '{"order_id":"W1"}')]

    @on_virtual_time
    async def run() -> None:
        done, cancel_order = cancelled_orders()
        recognizer = ScriptedRecognizer(["cancel it", "yes"], delay=delay)
        async with stage(ScriptedModel(script), tools=(cancel_order,), recognizer=recognizer) as call:
            await call.says()
            await call.until(lambda: any("Shall I go ahead?" in text for text in call.synthesizer.spoken))
            assert call.recorder.at_once == []
            await call.says()
            await call.until(lambda: AgentSaid("It is cancelled.") in call.recorder.entries)
            assert done == ["W1"]
            (state,) = call.recorder.at_once
            ((_, tool),) = state["running"]["items"]
            assert tool["executing"]

    run()


@on_virtual_time
async def test_that_a_call_has_ended_is_stored_without_waiting_for_other_calls() -> None:
    """Whoever takes it up goes on unless its state says so."""
    async with stage(ScriptedModel.saying("Hi.")) as call:
        await call.listening()
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=True)
        await asyncio.wait_for(call.task, 30)
        (state,) = call.recorder.at_once
        assert state["floor"]["~"] == "Ended"


@on_virtual_time
async def test_a_call_goes_on_over_a_second_line_in_the_same_process() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["where is it"]) as call:
        await call.listening()
        assert call.line.listener is not None
        call.line.listener.line_closed(hung_up=False)
        call.line.closed = True
        await asyncio.sleep(2)
        second = VirtualLine()
        playing = asyncio.create_task(second.run())
        call.session.attach(second, 2)
        # One of the first attachment that still waits for the database is refused from now on.
        assert call.recorder.snapshots[-1]["attachment"] == 2
        await call.listening()
        assert second.played
        second.speak(1.0)
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
        playing.cancel()


@on_virtual_time
async def test_a_call_is_taken_up_from_its_snapshot_by_another_process() -> None:
    async with stage(ScriptedModel.saying("It is on its way."), ["where is it"]) as first:
        await first.says()
        await first.until(lambda: len(first.recorder.entries) == 3)
        snapshot = first.recorder.snapshots[-1]
    async with stage(ScriptedModel.saying("As I said."), ["and again"], snapshot=snapshot) as second:
        await second.until(lambda: any("cut off" in text for text in second.synthesizer.spoken))
        await second.says()
        await second.until(lambda: AgentSaid("As I said.") in second.recorder.entries)
        assert second.model.requests[0].history == (
            AgentSaid("Hello there."),
            CallerSaid("where is it"),
            AgentSaid("It is on its way. Sorry, we were cut off for a moment. Please go on."),
            CallerSaid("and again"),
        )
        assert "Hello there." not in second.synthesizer.spoken


class NotingSynthesizer(ToneSynthesizer):
    """Notes whom each speech is for."""

    def __init__(self) -> None:
        super().__init__()
        self.purposes: list[tuple[str, str, bool]] = []

    async def synthesize(
        self, text: str, /, *, voice: str, locale: str, pace: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        purpose = current_purpose()
        self.purposes.append((text, purpose.call, purpose.ahead))
        async with aclosing(super().synthesize(text, voice=voice, locale=locale, pace=pace)) as speech:
            async for chunk in speech:
                yield chunk


@on_virtual_time
async def test_all_that_is_asked_for_is_asked_for_the_call_and_guesses_yield_to_what_is_wanted() -> None:
    noting = NotingSynthesizer()
    async with stage(ScriptedModel.saying("It is on its way."), ["where is my order"], speaker=noting) as call:
        await call.says()
        await call.until(lambda: AgentSaid("It is on its way.") in call.recorder.entries)
    assert noting.purposes == [
        ("Hello there.", "c1", False),
        ("It is on its way.", "c1", True),
        ("It is on its way.", "c1", False),
    ]
