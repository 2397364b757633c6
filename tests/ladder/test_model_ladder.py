"""A model that fails before it says anything is replaced within the call; one that fails later is not spoken over."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from random import Random

import pytest

from ladder.rungs import FIRST, REQUEST, Step, StepModel, error, ladder, rung, say
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.ladder import LadderModel
from talkspurt.ladder.breaker import FAILURES, LONGEST_PAUSE, PAUSE, Closed
from talkspurt.ladder.rung import FEWEST_OUTPUTS, Rung
from talkspurt.ladder.streams import COMING, LAST_WORD, QUEUE
from talkspurt.ladder.warming import WARMING
from talkspurt.ports import LanguageModel, ReplyPart, ReplyRequest, TextDelta, ToolCallDelta, ToolCallPart, Usage
from talkspurt.telemetry import metrics
from talkspurt.testing.virtual_time import run_virtual

HELLO = TextDelta("Hello.")
SECOND = TextDelta("Second.")


def good(after: float = 0.2) -> StepModel:
    return StepModel([after, SECOND, Usage(1, 1)])


def now() -> float:
    return asyncio.get_running_loop().time()


async def texts(model: LadderModel) -> str:
    async with aclosing(model.reply(REQUEST)) as reply:
        return "".join([part.text async for part in reply if isinstance(part, TextDelta)])


def test_the_first_rung_answers_while_it_bears() -> None:
    async def scenario() -> None:
        first, second = StepModel([0.2, HELLO, 0.1, Usage(3, 4)]), good()
        model = ladder(first, second)
        async with aclosing(model.reply(REQUEST)) as reply:
            assert [part async for part in reply] == [HELLO, Usage(3, 4)]
        assert not second.asked

    run_virtual(scenario())


def test_a_failure_that_may_pass_is_tried_once_more_at_once_and_then_the_next_is_asked() -> None:
    async def scenario() -> None:
        first, second = StepModel([0.1, error()]), good()
        assert await texts(ladder(first, second)) == "Second."
        assert len(first.asked) == 2
        assert now() == pytest.approx(0.1 + 0.1 + 0.2, abs=0.01)

    run_virtual(scenario())


def test_a_second_try_may_succeed() -> None:
    async def scenario() -> None:
        first, second = StepModel([error()], [HELLO]), good()
        assert await texts(ladder(first, second)) == "Hello."
        assert not second.asked

    run_virtual(scenario())


def test_a_second_try_does_not_put_off_the_next_model() -> None:
    async def scenario() -> None:
        first, second = StepModel([0.6 * FIRST, error()], [60.0]), good(after=0.0)
        assert await texts(ladder(first, second)) == "Second."
        assert second.asked == [pytest.approx(FIRST, abs=0.01)]

    run_virtual(scenario())


@pytest.mark.parametrize(
    "failure", [error(retryable=False), error(retry_after=20.0), error(retryable=False, rejected=True)]
)
def test_what_asking_again_cannot_help_is_not_asked_again(failure: ProviderError) -> None:
    async def scenario() -> None:
        first, second = StepModel([failure]), good()
        assert await texts(ladder(first, second)) == "Second."
        assert len(first.asked) == 1

    run_virtual(scenario())


def test_a_hung_model_is_replaced_when_its_patience_is_over() -> None:
    async def scenario() -> None:
        first, second = StepModel([60.0, HELLO]), good()
        assert await texts(ladder(first, second)) == "Second."
        assert now() == pytest.approx(FIRST + 0.2, abs=0.01)
        assert first.cancelled == 1
        assert not first.running

    run_virtual(scenario())


def test_a_late_model_that_answers_before_its_successor_still_wins() -> None:
    async def scenario() -> None:
        first, second = StepModel([FIRST + 0.3, HELLO]), good(after=1.0)
        assert await texts(ladder(first, second)) == "Hello."
        assert second.cancelled == 1

    run_virtual(scenario())


def test_white_space_and_usage_are_no_useful_output() -> None:
    async def scenario() -> None:
        first = StepModel([TextDelta("\n"), Usage(1, 0), 60.0])
        assert await texts(ladder(first, good())) == "Second."

    run_virtual(scenario())


def test_a_reply_of_nothing_is_a_failure_but_a_tool_call_is_something() -> None:
    async def scenario() -> None:
        call = ToolCallPart("t1", "look_up", "{}")
        second = StepModel([call])
        async with aclosing(ladder(StepModel([Usage(1, 0)]), second).reply(REQUEST)) as reply:
            assert [part async for part in reply] == [call]

    run_virtual(scenario())


WRITING = ToolCallDelta(4)
CALL = ToolCallPart("t1", "look_up", "{}")


async def parts_of(model: LadderModel) -> list[ReplyPart]:
    async with aclosing(model.reply(REQUEST)) as reply:
        return [part async for part in reply if not isinstance(part, ToolCallDelta)]


def test_a_model_that_writes_a_tool_call_is_not_late() -> None:
    async def scenario() -> None:
        first, second = StepModel([1.0, WRITING, 1.0, WRITING, 1.0, WRITING, 1.0, CALL, Usage(3, 4)]), good()
        model = ladder(first, second, hedged=True)
        for _ in range(FAILURES):
            assert await parts_of(model) == [CALL, Usage(3, 4)]
        assert len(first.asked) == FAILURES
        assert not second.asked

    run_virtual(scenario())


def test_a_tool_call_of_many_pieces_does_not_fill_the_queue_that_nobody_reads_yet() -> None:
    async def scenario() -> None:
        first, second = StepModel([1.0, *[WRITING] * (QUEUE + 1), 1.0, CALL]), good()
        assert await parts_of(ladder(first, second)) == [CALL]
        assert not second.asked

    run_virtual(scenario())


def test_a_model_that_writes_a_tool_call_behind_its_words_does_not_stall() -> None:
    async def scenario() -> None:
        first = StepModel([0.5, HELLO, 1.0, WRITING, COMING - 0.1, WRITING, 1.0, CALL])
        assert await parts_of(ladder(first, good())) == [HELLO, CALL]

    run_virtual(scenario())


def test_one_that_stops_in_the_middle_of_a_tool_call_is_replaced_as_long_as_it_has_said_nothing() -> None:
    async def scenario() -> None:
        first, second = StepModel([1.0, WRITING, 60.0]), good()
        assert await texts(ladder(first, second)) == "Second."
        assert second.asked == [pytest.approx(1.0 + COMING, abs=0.01)]

    run_virtual(scenario())


def test_one_that_breaks_off_in_the_middle_of_a_tool_call_is_tried_once_more_and_then_replaced() -> None:
    async def scenario() -> None:
        first, second = StepModel([1.0, WRITING, error()]), good()
        assert await texts(ladder(first, second)) == "Second."
        assert len(first.asked) == 2

    run_virtual(scenario())


def test_the_first_letters_of_a_tool_call_are_what_is_usual_for_a_model() -> None:
    async def scenario() -> None:
        usual = rung("m0", StepModel([0.3, WRITING, 1.2, CALL]))
        model = LadderModel([usual], hedged=True)
        for _ in range(FEWEST_OUTPUTS):
            await parts_of(model)
        assert usual.usual_first == pytest.approx(0.3, abs=0.01)

    run_virtual(scenario())


def test_a_hedge_that_is_late_does_not_replace_a_model_that_writes_a_tool_call() -> None:
    async def scenario() -> None:
        quick: list[Step] = [0.1, HELLO]
        slow: list[Step] = [FIRST - 0.1, WRITING, 1.0, CALL]
        first, second = StepModel(*[quick] * FEWEST_OUTPUTS, slow, [60.0]), good(after=0.0)
        model = ladder(first, second, hedged=True)
        for _ in range(FEWEST_OUTPUTS):
            await parts_of(model)
        assert await parts_of(model) == [CALL]
        assert len(first.asked) == FEWEST_OUTPUTS + 2
        assert not second.asked

    run_virtual(scenario())


def test_a_reply_that_broke_off_is_gone_on_with_by_who_has_not_just_failed() -> None:
    async def scenario() -> None:
        first, second = StepModel([HELLO, error()], [HELLO]), good()
        model = ladder(first, second)
        with pytest.raises(ProviderError):
            await texts(model)
        async with aclosing(model.reply(replace(REQUEST, continues=True))) as reply:
            assert SECOND in [part async for part in reply]
        assert len(first.asked) == 1
        assert await texts(model) == "Hello.", "the next reply is the first one's again"

    run_virtual(scenario())


def test_after_something_was_said_no_other_model_says_it_again() -> None:
    async def scenario() -> None:
        first, second = StepModel([HELLO, 0.1, error()]), good()
        said: list[str] = []
        with pytest.raises(ProviderError, match="failed"):
            await say(ladder(first, second), said.append)
        assert said == ["Hello."]
        assert not second.asked

    run_virtual(scenario())


def test_a_model_that_stalls_in_the_middle_is_noticed() -> None:
    async def scenario() -> None:
        first = StepModel([HELLO, 60.0])
        with pytest.raises(ProviderError, match="stalled"):
            await texts(ladder(first, good()))
        assert now() == pytest.approx(FIRST, abs=0.01)
        assert not first.running

    run_virtual(scenario())


def test_the_last_one_is_waited_for_longer_as_there_is_nobody_else() -> None:
    async def scenario() -> None:
        first, second = StepModel([60.0]), StepModel([FIRST + 3.0, SECOND])
        assert await texts(ladder(first, second)) == "Second."

    run_virtual(scenario())


def test_when_all_fail_the_reply_fails_in_bounded_time_and_nothing_is_left_running() -> None:
    async def scenario() -> None:
        models = [StepModel([60.0]), StepModel([60.0])]
        with pytest.raises(ProviderError, match="no output in time"):
            await texts(ladder(*models))
        assert now() <= 2 * FIRST + LAST_WORD + 0.1
        assert not any(model.running for model in models)

    run_virtual(scenario())


def test_who_has_failed_several_calls_is_not_asked_by_the_next_until_it_has_recovered() -> None:
    async def scenario() -> None:
        first = StepModel(*[[error(retryable=False)]] * FAILURES, [HELLO])
        model = ladder(first, good(after=0.0))
        for _ in range(FAILURES + 3):
            assert await texts(model) == "Second."
        assert len(first.asked) == FAILURES
        await asyncio.sleep(PAUSE)
        assert await texts(model) == "Hello."
        assert await texts(model) == "Hello."

    run_virtual(scenario())


def test_when_every_breaker_is_open_the_least_bad_is_asked_all_the_same() -> None:
    async def scenario() -> None:
        first = StepModel([error(retryable=False)], [HELLO])
        rungs = [rung("only", first)]
        rungs[0].breaker.failed(0.0, at_once=True)
        with pytest.raises(ProviderError):
            await texts(LadderModel(rungs))
        assert await texts(LadderModel(rungs)) == "Hello."

    run_virtual(scenario())


def test_when_every_breaker_is_open_all_are_tried_the_local_ones_first() -> None:
    async def scenario() -> None:
        cloud, frozen, own = good(), StepModel([60.0]), StepModel([0.1, error(retryable=False)])
        rungs = [rung("cloud", cloud), rung("frozen", frozen), rung("own", own, local=True)]
        for seconds, each in zip((3.0, 1.0, 2.0), rungs, strict=True):
            each.breaker.failed(0.0, pause=seconds)
        assert await texts(LadderModel(rungs, hedged=False)) == "Second."
        assert own.asked < frozen.asked < cloud.asked

    run_virtual(scenario())


def test_who_is_left_alone_is_asked_after_all_when_the_others_fail() -> None:
    async def scenario() -> None:
        left_alone = good()
        rungs = [rung("first", left_alone), rung("last", StepModel([error(retryable=False)]))]
        rungs[0].breaker.failed(0.0, at_once=True)
        assert await texts(LadderModel(rungs, hedged=False)) == "Second."
        assert rungs[0].breaker.closed

    run_virtual(scenario())


def test_a_model_of_our_own_that_has_too_much_to_do_is_neither_asked_again_nor_left_alone() -> None:
    async def scenario() -> None:
        overloaded = error(fault="overloaded")
        own = StepModel([overloaded])
        below = rung("own", own, local=True)
        for _ in range(FAILURES + 1):
            with pytest.raises(ProviderError):
                await texts(LadderModel([below]))
        assert len(own.asked) == FAILURES + 1
        assert below.breaker.state == Closed()

    run_virtual(scenario())


OF_ONE_REQUEST: tuple[ProviderFault, ...] = ("refused", "too_long", "rejected")


@pytest.mark.parametrize("fault", OF_ONE_REQUEST)
def test_what_is_wrong_with_one_request_keeps_no_other_from_the_provider(fault: ProviderFault) -> None:
    async def scenario() -> None:
        first = StepModel(*[[error(retryable=False, fault=fault)]] * (FAILURES + 1), [HELLO])
        asked = rung(f"judges {fault}", first)
        model = LadderModel([asked, rung("next", good())], hedged=False)
        for _ in range(FAILURES + 1):
            assert await texts(model) == "Second."
        assert len(first.asked) == FAILURES + 1
        assert failures_of(asked.name) == FAILURES + 1
        assert asked.breaker.state == Closed()
        assert await texts(model) == "Hello."

    run_virtual(scenario())


@pytest.mark.parametrize("fault", OF_ONE_REQUEST)
def test_a_provider_that_may_be_well_again_is_found_out_by_the_next_when_one_request_is_refused(
    fault: ProviderFault,
) -> None:
    async def scenario() -> None:
        first = StepModel(*[[error(retryable=False)]] * FAILURES, [error(retryable=False, fault=fault)], [HELLO])
        model = ladder(first, good(after=0.0))
        for _ in range(FAILURES):
            await texts(model)
        await asyncio.sleep(PAUSE)
        assert await texts(model) == "Second."
        assert await texts(model) == "Hello."

    run_virtual(scenario())


def failures_of(name: str) -> float | None:
    labels = {"port": "model", "vendor": name}
    return metrics.REGISTRY.get_sample_value("talkspurt_provider_failures_total", labels)


def test_a_full_rung_sends_the_next_call_down_and_bears_again_when_it_is_free() -> None:
    async def scenario() -> None:
        first, second = StepModel([0.5, HELLO]), good()
        model = LadderModel([rung("small", first, capacity=2), rung("big", second)], hedged=False)
        heard = await asyncio.gather(*(texts(model) for _ in range(5)))
        assert sorted(heard) == ["Hello."] * 2 + ["Second."] * 3
        assert await texts(model) == "Hello."

    run_virtual(scenario())


def test_when_all_are_full_the_reply_is_refused_at_once() -> None:
    async def scenario() -> None:
        model = LadderModel([rung("small", StepModel([0.5, HELLO]), capacity=1)], hedged=False)
        waiting = asyncio.create_task(texts(model))
        await asyncio.sleep(0)
        with pytest.raises(ProviderError, match="busy"):
            await texts(model)
        assert await waiting == "Hello."

    run_virtual(scenario())


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.25, 0.45, FIRST + 0.1])
def test_whenever_the_caller_interrupts_nothing_is_left_running_or_counted(moment: float) -> None:
    async def scenario() -> None:
        models = [StepModel([60.0]), StepModel([0.2, HELLO, 0.2, SECOND, 60.0])]
        rungs = [rung("a", models[0], capacity=1), rung("b", models[1], capacity=1)]
        if moment < FIRST:
            rungs.reverse()
        task = asyncio.create_task(texts(LadderModel(rungs, hedged=False)))
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.wait({task})
        await asyncio.sleep(0.01)
        assert not any(model.running for model in models)
        assert not any(each.in_use for each in rungs)

    run_virtual(scenario())


# ── hedging ───────────────────────────────────────────────────────────────────────


USUAL: list[float | TextDelta] = [0.3, HELLO]


def test_a_request_slower_than_usual_is_put_to_the_same_model_again() -> None:
    async def scenario() -> None:
        first, second = StepModel(*[USUAL] * FEWEST_OUTPUTS, [1.2, HELLO], [0.1, HELLO], USUAL), good()
        model = ladder(first, second, hedged=True)
        for _ in range(FEWEST_OUTPUTS):
            assert await texts(model) == "Hello."
        began = now()
        assert await texts(model) == "Hello."
        assert now() - began == pytest.approx(0.3 + 0.1, abs=0.02)
        assert first.cancelled == 1
        assert not second.asked

    run_virtual(scenario())


def test_a_model_of_our_own_is_never_asked_beside_itself() -> None:
    async def scenario() -> None:
        usual: list[Step] = [0.2, HELLO]
        own = StepModel(*[usual] * FEWEST_OUTPUTS, [1.2, HELLO])
        model = LadderModel([rung("own", own, local=True)])
        for _ in range(FEWEST_OUTPUTS + 1):
            assert await texts(model) == "Hello."
        assert len(own.asked) == FEWEST_OUTPUTS + 1

    run_virtual(scenario())


def test_a_single_model_that_is_always_late_and_always_answers_is_not_left_alone() -> None:
    async def scenario() -> None:
        only = rung("slow", StepModel([FIRST + 0.3, HELLO]))
        for _ in range(FAILURES + 1):
            assert await texts(LadderModel([only], hedged=False)) == "Hello."
        assert only.breaker.closed

    run_virtual(scenario())


def test_hedges_do_not_make_a_model_seem_quicker_than_it_is() -> None:
    async def scenario() -> None:
        random = Random(1)
        # What takes 0.4 to 0.8 s goes on doing so, whatever wins.
        scripts: list[list[Step]] = [[random.uniform(0.4, 0.8), HELLO] for _ in range(1000)]
        first = StepModel(*scripts)
        rungs = [rung("cloud", first), rung("instant", good(after=0.0))]
        model = LadderModel(rungs)
        for _ in range(400):
            assert await texts(model) == "Hello."
        assert len(first.asked) < 400 * 1.25
        assert rungs[0].usual_first == pytest.approx(0.7, abs=0.1)

    run_virtual(scenario())


def test_a_failure_beside_a_request_that_is_in_time_asks_nobody_else() -> None:
    async def scenario() -> None:
        first, second = StepModel(*[USUAL] * FEWEST_OUTPUTS, [1.0, HELLO], [0.1, error()]), good()
        model = ladder(first, second, hedged=True)
        for _ in range(FEWEST_OUTPUTS + 1):
            assert await texts(model) == "Hello."
        assert not second.asked

    run_virtual(scenario())


def test_who_begins_and_then_hangs_is_left_alone_as_well() -> None:
    async def scenario() -> None:
        first = StepModel([HELLO, 60.0])
        model = ladder(first, good(after=0.0))
        for _ in range(FAILURES):
            with pytest.raises(ProviderError, match="stalled"):
                await texts(model)
        assert await texts(model) == "Second."
        assert len(first.asked) == FAILURES

    run_virtual(scenario())


def test_a_loser_that_is_slow_to_let_go_holds_nobody_up() -> None:
    class Clinging(StepModel):
        async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
            try:
                await asyncio.sleep(60)
                yield HELLO
            finally:
                await asyncio.sleep(0.9)

    async def scenario() -> None:
        assert await texts(ladder(Clinging(), good(after=0.1))) == "Second."
        assert now() == pytest.approx(FIRST + 0.1, abs=0.02)
        await asyncio.sleep(1)

    run_virtual(scenario())


async def accustomed(first: StepModel, second: StepModel) -> tuple[list[Rung[LanguageModel]], LadderModel]:
    """Two rungs and their ladder, which has had so many replies of the first that it knows how long they take."""
    rungs = [rung("cloud", first), rung("next", second)]
    model = LadderModel(rungs)
    for _ in range(FEWEST_OUTPUTS):
        assert await texts(model) == "Hello."
    return rungs, model


@pytest.mark.parametrize("hedge", [[60.0], [0.1, error()]], ids=["hangs too", "fails"])
def test_a_hedge_neither_puts_off_the_next_model_nor_is_held_against_the_slow_one(hedge: list[Step]) -> None:
    async def scenario() -> None:
        slow: list[Step] = [FIRST - 0.3, HELLO]
        first, second = StepModel(*[slow] * FEWEST_OUTPUTS, [60.0], hedge, [60.0]), good(after=0.0)
        rungs, model = await accustomed(first, second)
        began = now()
        assert await texts(model) == "Second."
        assert len(first.asked) == FEWEST_OUTPUTS + 2
        assert second.asked == [pytest.approx(began + FIRST, abs=0.01)]
        await asyncio.sleep(0.01)
        assert rungs[0].breaker.state == Closed(failures=1)

    run_virtual(scenario())


def test_a_hedge_that_fails_after_the_slow_request_is_no_reason_for_a_third() -> None:
    async def scenario() -> None:
        slow: list[Step] = [FIRST - 0.3, HELLO]
        first = StepModel(*[slow] * FEWEST_OUTPUTS, [FIRST - 0.2, error()], [0.2, error()], [60.0])
        second = good(after=0.0)
        rungs, model = await accustomed(first, second)
        began = now()
        assert await texts(model) == "Second."
        assert second.asked == [pytest.approx(began + FIRST - 0.1, abs=0.01)]
        assert rungs[0].breaker.state == Closed(failures=1)

    run_virtual(scenario())


def test_a_hedge_that_wins_and_then_hangs_has_failed() -> None:
    async def scenario() -> None:
        first = StepModel(*[USUAL] * FEWEST_OUTPUTS, [60.0], [HELLO, 60.0])
        rungs, model = await accustomed(first, good())
        with pytest.raises(ProviderError, match="stalled"):
            await texts(model)
        await asyncio.sleep(0.01)
        assert rungs[0].breaker.state == Closed(failures=1)

    run_virtual(scenario())


def test_nothing_is_hedged_while_too_little_is_known() -> None:
    async def scenario() -> None:
        first, second = StepModel([1.0, HELLO]), good()
        model = ladder(first, second, hedged=True)
        assert await texts(model) == "Hello."
        assert not second.asked

    run_virtual(scenario())


@pytest.mark.parametrize(
    "failure", [error(retryable=False, rejected=True), error(retryable=False, fault="quota_exceeded")]
)
def test_a_provider_that_nothing_but_an_operator_can_mend_is_asked_once(failure: ProviderError) -> None:
    async def scenario() -> None:
        first, second = StepModel([failure]), good()
        model = ladder(first, second)
        for _ in range(3):
            assert await texts(model) == "Second."
        assert len(first.asked) == 1

    run_virtual(scenario())


# ── warming ───────────────────────────────────────────────────────────────────────


def test_a_provider_that_rejects_the_key_at_start_up_is_left_alone_and_the_server_starts() -> None:
    async def scenario() -> None:
        first, second = StepModel([error(rejected=True, retryable=False)]), good()
        model = ladder(first, second)
        await model.warm_up()
        assert await texts(model) == "Second."
        assert len(first.asked) == 1

    run_virtual(scenario())


def test_when_an_operator_has_to_act_before_any_provider_can_be_used_the_server_says_so_at_the_start() -> None:
    async def scenario() -> None:
        rejected = error(rejected=True, retryable=False)
        with pytest.raises(ProviderError):
            await ladder(StepModel([rejected]), StepModel([rejected])).warm_up()

    run_virtual(scenario())


@pytest.mark.parametrize("trouble", [error(), 60.0], ids=["refused", "hung"])
def test_an_outage_at_start_up_does_not_keep_a_server_with_one_provider_from_starting(trouble: Step) -> None:
    async def scenario() -> None:
        model = LadderModel([rung("down at the start", StepModel([trouble], [HELLO]))])
        await model.warm_up()
        assert now() <= WARMING + 0.01
        assert breaker_open("down at the start") == 1
        assert await texts(model) == "Hello."
        assert breaker_open("down at the start") == 0

    run_virtual(scenario())


@pytest.mark.parametrize("fault", OF_ONE_REQUEST)
def test_a_request_that_is_refused_at_start_up_is_told_of(fault: ProviderFault) -> None:
    async def scenario() -> None:
        refused = error(retryable=False, fault=fault)
        model = LadderModel([rung(f"start {fault}", StepModel([refused])), rung("next", good())])
        await model.warm_up()
        assert breaker_open(f"start {fault}") == 1
        with pytest.raises(ProviderError):
            await ladder(StepModel([refused])).warm_up()

    run_virtual(scenario())


def test_who_is_not_usable_at_start_up_is_told_of_by_the_metrics_until_it_is_well() -> None:
    async def scenario() -> None:
        rejected = StepModel([error(rejected=True, retryable=False)], [HELLO])
        model = LadderModel([rung("warmed in vain", rejected), rung("next", good())])
        await model.warm_up()
        assert breaker_open("warmed in vain") == 1
        assert breaker_open("next") in (0, None)
        await asyncio.sleep(LONGEST_PAUSE)
        assert await texts(model) == "Hello."
        assert breaker_open("warmed in vain") == 0

    run_virtual(scenario())


def breaker_open(name: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("talkspurt_provider_breaker_open", {"port": "model", "vendor": name})
