"""The turn-taking benchmark's calls: what is frozen, and that pauses, noise and replies are what they claim to be."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

# Benchmarks are run from the repository and are not installed.
from benchmarks.turns import artefacts, brain
from benchmarks.turns.agents import configuration, name_of, number_of
from benchmarks.turns.artefacts import CallArtefact, CallerEvent, Entity, OrderedReply, Pause, Span, StoredEntry
from benchmarks.turns.channel import RoomAndLine, Settings
from benchmarks.turns.generate import Generator
from benchmarks.turns.scenarios import load_scenarios
from benchmarks.turns.voices import SOUNDS, Part, Voices, noise_burst

from talkspurt.agent.loading import load_agent
from talkspurt.agent.locales import find_locale
from talkspurt.config import load_config
from talkspurt.core.history import AgentSaid, CallerSaid
from talkspurt.media import g711
from talkspurt.simulate.loudness import audible_windows

SILENCE = bytes(320)
TONE = (np.sin(np.arange(160) * 0.3) * 8_000).astype("<i2").tobytes()


@pytest.fixture
def voices(tmp_path: Path) -> Voices:
    return Voices(tmp_path, None)


# ── what is frozen ────────────────────────────────────────────────────────────────


def test_the_scenarios_are_those_that_the_generator_wrote() -> None:
    assert load_scenarios(quick=False) == Generator().all()


def test_every_row_has_three_hundred_turns_and_some_more_and_a_dozen_in_a_quick_run() -> None:
    for quick, enough in ((False, 310), (True, 12)):
        scenarios = load_scenarios(quick=quick)
        # Of the echoes those count that the agent must never be stopped by.
        counted = [s for s in scenarios if not s["id"].startswith("echo-0") or s["channel"]["echo_db"] <= -25 or quick]
        rows = Counter(step["row"] for scenario in counted for step in scenario["steps"])
        # A reply of some fifteen seconds makes six stretches of echo.
        rows["echo"] *= 6
        together = {
            "ordinary": rows["ordinary"],
            "yesno": rows["yesno"],
            "entity": rows["entity"],
            "interruption": rows["interruption"],
            "distraction": rows["backchannel"] + rows["noise"],
            "side_talk": rows["side_talk"],
            "echo": rows["echo"],
            "rest": rows["silence"] + rows["both_start"] + rows["one_word"],
        }
        assert min(together.values()) >= enough, together


def test_at_least_half_of_the_pauses_in_ordinary_turns_follow_a_complete_clause() -> None:
    places = Counter(
        part["place"]
        for scenario in load_scenarios(quick=False)
        for step in scenario["steps"]
        if step["row"] == "ordinary"
        for part in step.get("parts", ())
        if "place" in part
    )
    assert places["clause"] / places.total() >= 0.5, places


# ── utterances ────────────────────────────────────────────────────────────────────


def test_a_pause_inside_an_utterance_is_silent_and_exactly_as_long_as_it_says(voices: Voices) -> None:
    parts: list[Part] = [{"text": "I'd like to return"}, {"pause": 0.7, "place": "inside"}, {"text": "the blue lamp."}]
    spoken = voices.utter("flite:slt", parts, one_utterance=True)
    whole_parts: list[Part] = [{"text": "I'd like to return the blue lamp."}]
    whole = voices.utter("flite:slt", whole_parts, one_utterance=True)
    (pause,) = spoken.pauses
    assert math.isclose(pause.end - pause.begin, 0.7)
    assert not audible_windows(spoken.clip[round(pause.begin * 8_000) : round(pause.end * 8_000)]).any()
    assert (spoken.voiced[0].end, spoken.voiced[1].begin) == (pause.begin, pause.end)
    # It is the same utterance, only cut apart: nothing was said twice and nothing left out.
    lengths = [span.end - span.begin for span in (*spoken.voiced, *whole.voiced)]
    assert lengths[0] + lengths[1] == pytest.approx(lengths[2], abs=0.1)
    assert lengths[0] == pytest.approx(1.18, abs=0.1)


def test_what_was_spoken_once_is_remembered(voices: Voices, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[Part] = [{"text": "Yes."}, {"pause": 0.4, "place": "clause"}, {"text": "Please."}]
    first = voices.utter("flite:rms", parts, one_utterance=False)
    monkeypatch.setattr("benchmarks.turns.voices.subprocess.run", None)
    again = voices.utter("flite:rms", parts, one_utterance=False)
    assert (first.clip == again.clip).all()
    assert (first.voiced, first.pauses) == (again.voiced, again.pauses)


@pytest.mark.parametrize("voice", ["flite:slt", "espeak:en-us"])
@pytest.mark.parametrize(("hum", "longest"), [("Hmm.", 0.4), ("Mm hmm.", 0.6)])
def test_a_hum_is_hummed_and_not_spelled(voices: Voices, voice: str, hum: str, longest: float) -> None:
    # Left to themselves both programs read the letters, "em em aitch em", which takes twice as long.
    (voiced,) = voices.utter(voice, [{"text": hum}], one_utterance=True).voiced
    assert 0.2 < voiced.end - voiced.begin < longest


@pytest.mark.parametrize("kind", SOUNDS)
def test_a_noise_is_audible_short_and_always_the_same(kind: str) -> None:
    clip = noise_burst(kind, 7)
    assert audible_windows(clip).any()
    assert len(clip) < 2.5 * 8_000
    assert (clip == noise_burst(kind, 7)).all()


# ── the line ──────────────────────────────────────────────────────────────────────


def carried(room: RoomAndLine, caller: bytes, agent: bytes) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(g711.decode_mulaw(room.carry(caller, agent).frame), dtype="<i2")


def test_the_agents_voice_returns_after_its_delay_at_its_level() -> None:
    room = RoomAndLine(Settings(echo_db=-20, echo_delay_ms=40), {}, 1)
    frames = [carried(room, SILENCE, TONE if tick == 0 else SILENCE) for tick in range(5)]
    assert [bool(np.abs(frame).max() > 100) for frame in frames] == [False, False, True, False, False]
    assert np.abs(frames[2]).max() == pytest.approx(800, rel=0.1)


def test_noise_lies_below_speech_by_the_ratio_asked_for() -> None:
    loop = np.random.default_rng(0).normal(size=16_000)
    room = RoomAndLine(Settings(noise="street", snr_db=20, level_db=-6), {"street": loop}, 1)
    noise = np.concatenate([carried(room, SILENCE, SILENCE) for _ in range(100)]).astype(float)
    assert 20 * np.log10(np.sqrt(np.mean(noise**2)) / 32_768) == pytest.approx(-24 - 6 - 20, abs=1)


def test_frames_are_lost_as_often_as_asked_and_late_by_no_more_than_the_jitter() -> None:
    room = RoomAndLine(Settings(loss=0.05, jitter_ms=60), {}, 1)
    frames = [room.carry(TONE, SILENCE) for _ in range(10_000)]
    assert sum(frame.lost for frame in frames) == pytest.approx(500, rel=0.2)
    assert {frame.late for frame in frames} == {0, 1, 2, 3}


def test_another_sound_in_the_room_is_not_the_callers_own_voice() -> None:
    room = RoomAndLine(Settings(), {}, 1)
    room.overlay(np.frombuffer(TONE, dtype="<i2"), -6.0)
    assert np.abs(carried(room, SILENCE, SILENCE)).max() == pytest.approx(4_000, rel=0.1)
    assert bytes(room.clean) == SILENCE


# ── the agents ────────────────────────────────────────────────────────────────────


def test_the_same_history_gets_the_same_reply_and_another_history_another() -> None:
    history = (AgentSaid("Hello."), CallerSaid("Go on."))
    for kind in brain.GREETINGS:
        assert brain.reply_to(kind, history) == brain.reply_to(kind, history)
    assert brain.reply_to("long", history) != brain.reply_to("long", (*history, CallerSaid("Go on.")))


def test_a_question_that_was_cut_off_is_asked_again() -> None:
    greeting = AgentSaid(brain.GREETINGS["entity"])
    answer = CallerSaid("W one two.")
    assert brain.question_in(greeting.text) == "order_id"
    assert brain.question_in(brain.reply_to("entity", (greeting, answer))) == "email"
    cut_off = AgentSaid("Thanks. What's your", interrupted=True)
    assert brain.question_in(brain.reply_to("entity", (greeting, answer, cut_off, answer))) == "email"


def test_every_agent_answers_its_own_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "talkspurt.toml").write_text(configuration(), encoding="utf-8")
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    config = load_config(tmp_path / "talkspurt.toml", {})
    entry = config.number(number_of("long", 3))
    assert entry is not None
    assert entry.agent == name_of("long", 3)
    assert load_agent(entry.agent, config.agents[entry.agent]).greeting == brain.GREETINGS["long"]


# ── what a call leaves behind ─────────────────────────────────────────────────────


def test_artefacts_come_back_as_they_were_written(tmp_path: Path) -> None:
    event = CallerEvent(
        "a/0", "entity", "answer", "It's one two.", 1.0, 2.0, (Span(1.0, 1.2), Span(1.6, 2.0)),
        (Pause(1.2, 1.6, "groups", True),), "flite:slt", False, False, None, Entity("zip", "12"), None, False, True,
    )  # fmt: skip
    artefact = CallArtefact(
        {"id": "a"}, "stamp", "CA1", 3.0, "Hello.", (event,), (OrderedReply(2.1, "Yes.", True, ("One.",)),),
        (StoredEntry(1, "agent_said", {"text": "Hello.", "interrupted": False}, 0.9),), (), "caller", "hung up", 0.01,
    )  # fmt: skip
    artefacts.save(artefact, tmp_path)
    assert artefacts.load(tmp_path) == artefact


FAREWELL = find_locale("en-US").phrases["goodbye_silence"]


@pytest.mark.parametrize(
    ("complete", "ended_by", "last", "counts"),
    [
        (True, "caller", "Yes.", True),
        (False, "agent", FAREWELL, True),
        (False, "agent", FAREWELL[20:], True),
        (False, "agent", "Yes.", False),
        (False, "agent", None, False),
        (False, "carrier", FAREWELL, False),
        (False, "caller", FAREWELL, False),
    ],
)
def test_a_call_in_which_the_agent_took_its_caller_for_gone_counts_and_one_that_broke_off_does_not(
    complete: bool, ended_by: str, last: str | None, counts: bool
) -> None:
    history = (StoredEntry(1, "agent_said", {"text": last}, 0.9),) if last else ()
    ended = CallArtefact(
        {"id": "a"}, "stamp", "CA1", 3.0, "Hello.", (), (), history, (), ended_by, "why", 0.01, complete=complete
    )
    assert ended.counts is counts
    assert ended.hung_up is (counts and not complete)
