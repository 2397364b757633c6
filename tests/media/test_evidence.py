"""Whose voice is on the line: echo, caller, others, noises; and what hostile input may not do."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from talkspurt.media import evidence as evidence_module
from talkspurt.media import g711
from talkspurt.media.echo import LONGEST_DELAY, MARGIN, EchoPath
from talkspurt.media.evidence import HEARD, PLAYED, Evidence, LineEvidence
from talkspurt.media.frames import Frames
from talkspurt.media.level import mean_level
from talkspurt.media.room import MOST_VOICES, Room
from talkspurt.media.talkspurts import START_THRESHOLD
from talkspurt.media.voice_profile import Stretch

RATE_HZ = 8_000
FRAME = 320
Sound = NDArray[np.float64]


def voice(pitch_hz: float, formants: tuple[float, float, float], seconds: float, seed: int = 0) -> Sound:
    """A made-up voice: a pulse train with vibrato through three moving formants, in syllables."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    at = np.arange(count) / RATE_HZ
    phase = np.cumsum(pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * 2.3 * at + seed))) / RATE_HZ
    source = np.diff(np.floor(phase), prepend=0.0) + 0.02 * random.normal(size=count)
    sound = np.zeros(count)
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    for syllable in range(0, count, 1_600):
        part = np.zeros(count)
        part[syllable : syllable + 1_600] = source[syllable : syllable + 1_600]
        shape = sum(
            1 / (1 + ((hz - formant * random.uniform(0.75, 1.3)) / 90) ** 2) / (n + 1)
            for n, formant in enumerate(formants)
        )
        sound += np.fft.irfft(np.fft.rfft(part) * shape * ((hz > 280) & (hz < 3_450)), count)
    level: float = np.sqrt(np.mean(sound**2))
    return sound * (0.1 / level)


def caller(seconds: float, seed: int = 0) -> Sound:
    return voice(120, (500, 1_400, 2_400), seconds, seed)


def stranger(seconds: float, seed: int = 0) -> Sound:
    return voice(215, (750, 1_900, 2_900), seconds, seed)


def agent(seconds: float, seed: int = 50) -> Sound:
    return voice(105, (600, 1_200, 2_600), seconds, seed)


def pcm(sound: Sound) -> bytes:
    return (np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()


NOISE_DBFS = -72


def over_the_line(sound: Sound) -> bytes:
    """With the noise of a quiet line, through µ-law."""
    noise = np.random.default_rng(9).normal(size=len(sound)) * 10 ** (NOISE_DBFS / 20)
    return g711.decode_mulaw(g711.encode_mulaw(pcm(sound + noise)))


def echo_of(sound: Sound, gain_db: float, delay: int) -> Sound:
    """Filtered by a few milliseconds, weakened, delayed."""
    random = np.random.default_rng(3)
    response = random.normal(size=24) * np.exp(-np.arange(24) / 8)
    response[0] = 1.5
    response /= np.sqrt((response**2).sum())
    return np.concatenate((np.zeros(delay), np.convolve(sound, response)))[: len(sound)] * 10 ** (gain_db / 20)


def hear(line: LineEvidence, sound: Sound) -> None:
    heard = over_the_line(sound)
    for begin in range(0, len(heard), FRAME):
        line.hear(heard[begin : begin + FRAME])


def learned(seconds: float = 4) -> LineEvidence:
    line = LineEvidence()
    for seed in range(int(seconds / 2)):
        hear(line, np.concatenate((np.zeros(1_600), caller(2, seed))))
        line.learn([((seed + 1) * 17_600 - 16_000, (seed + 1) * 17_600)])
    return line


def measured_next(line: LineEvidence, sound: Sound, begin: int) -> Evidence:
    """What is measured of `sound`, which is heard after what `line` has heard until `begin`."""
    hear(line, sound)
    return line.measure(begin, begin + len(sound))


# ── echo ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("gain_db", [-20, -25, -30, -40])
@pytest.mark.parametrize("delay", [160, 1_200, 3_200, 4_700])
def test_the_agents_echo_is_known_at_any_gain_and_delay(gain_db: float, delay: int) -> None:
    line, said = LineEvidence(), agent(2)
    line.play(pcm(said), 0)
    hear(line, echo_of(said, gain_db, delay))
    evidence = line.measure(9_000, 11_400)
    assert evidence.is_echo is True
    assert line.echo_delay is not None
    assert abs(line.echo_delay - delay) < 32


def test_a_caller_who_speaks_over_the_echo_is_no_echo() -> None:
    line, said = LineEvidence(), agent(2)
    line.play(pcm(said), 0)
    hear(line, echo_of(said, -20, 1_000) + caller(2))
    assert line.measure(9_000, 11_400).is_echo is False
    assert line.measure(9_000, 10_040).is_echo is False


def test_without_playback_there_is_no_echo() -> None:
    line = LineEvidence()
    hear(line, caller(1))
    assert line.measure(2_000, 6_000).echo == 0


def test_what_was_stopped_before_it_was_played_explains_nothing() -> None:
    line, said = LineEvidence(), agent(2)
    line.play(pcm(said), 0)
    line.stop(0)
    hear(line, echo_of(said, -20, 1_000))
    assert line.measure(9_000, 11_400).echo == 0


def test_audio_told_ahead_in_pieces_is_the_same_as_at_once() -> None:
    said = agent(2)
    heard = echo_of(said, -25, 800)
    whole, pieces = LineEvidence(), LineEvidence()
    whole.play(pcm(said), 0)
    hear(whole, heard)
    for begin in range(0, 16_000, 160):
        if begin % 1_280 == 0:
            pieces.play(pcm(said[begin : begin + 1_280]), begin)
        hear_part = over_the_line(heard)[2 * begin : 2 * begin + FRAME]
        pieces.hear(hear_part)
    assert pieces.measure(9_000, 11_400) == whole.measure(9_000, 11_400)


def test_the_remembered_path_makes_a_short_stretch_of_echo_surer() -> None:
    said = agent(2)
    noise = np.random.default_rng(1).normal(size=len(said))
    heard = echo_of(said, -25, 1_500)
    heard = (heard + noise * np.sqrt(np.mean(heard**2)) * 10 ** (-6 / 20)).astype(np.float32)
    played = np.concatenate((np.zeros(LONGEST_DELAY + MARGIN), said, np.zeros(MARGIN))).astype(np.float32)

    def share(path: EchoPath, first: int, samples: int) -> float:
        last = first + samples
        return path.share(heard[first:last], played[first : last + LONGEST_DELAY + 2 * MARGIN])

    knowing = EchoPath()
    for first in (6_000, 8_000):
        share(knowing, first, 3_200)
    moments = range(10_000, 15_000, 500)
    assert sum(share(knowing, at, 800) for at in moments) > sum(share(EchoPath(), at, 800) for at in moments)


def over_a_line(heard: Sound, said: Sound) -> LineEvidence:
    """A line that has heard and played these from its beginning."""
    line = LineEvidence()
    for begin in range(0, len(said), RATE_HZ):
        line.play(pcm(said[begin : begin + RATE_HZ]), begin)
        hear(line, heard[begin : begin + RATE_HZ])
    return line


def test_an_echo_is_found_before_anything_is_taken_for_a_voice() -> None:
    said = agent(5)
    line = over_a_line(echo_of(said, -40, 1_000), said)
    assert line.echo_delay == pytest.approx(1_000, abs=32)
    short = line.measure(38_000, 39_040)
    assert not short.echoless
    assert short.is_echo is True
    assert line.is_returning(38_000, 38_256)


def test_on_a_line_that_was_searched_and_has_no_echo_the_first_syllable_is_the_callers() -> None:
    said = agent(5)
    late = np.concatenate((np.zeros(36_000), caller(0.5) / 20))
    line = over_a_line(late, said)
    assert line.echo_delay is None
    assert line.measure(36_000, 37_040).echoless
    assert line.measure(36_000, 37_040).is_echo is False
    two = over_a_line(late, np.concatenate((np.zeros(16_000), said[:16_000])))
    assert two.measure(36_000, 37_040).echoless
    one = over_a_line(late, np.concatenate((np.zeros(24_000), said[:8_000])))
    assert not one.measure(36_000, 37_040).echoless, "an echo may still be found"


def test_an_echo_that_begins_late_is_known_by_a_large_share_only() -> None:
    late = replace(evidence_of(seconds=0.13, echo=0.49), echoless=True)
    assert late.is_echo is False
    assert replace(late, echo=0.5).is_echo is True
    assert replace(late, echo=0.5, agent_dbfs=None).is_echo is False


# ── what a detector says ──────────────────────────────────────────────────────────


def noisy(seconds: float, dbfs: float) -> Sound:
    return np.random.default_rng(8).normal(size=int(seconds * RATE_HZ)) * 10 ** (dbfs / 20)


def harmonic(monkeypatch: pytest.MonkeyPatch, harmonicity: float) -> None:
    table = np.full((1, 15), harmonicity, dtype=np.float32)
    monkeypatch.setattr(evidence_module, "analyse", lambda _samples: Frames(table))


@pytest.mark.interpreted
def test_a_suspicion_counts_on_a_noisy_line_if_it_is_as_loud_as_the_caller_and_harmonic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    line = LineEvidence()
    hear(line, np.concatenate((noisy(2, -50), caller(2))) + noisy(4, -50))
    line.learn([(16_000, 32_000)])
    hear(line, noisy(1, -50))

    def said(level_db: float, detected: float, sound: Sound | None = None) -> float:
        begin = line._heard.end
        hear(line, (caller(0.5, 3) if sound is None else sound) * 10 ** (level_db / 20) + noisy(0.5, -50))
        loudest = max(range(begin, begin + 3_600, 80), key=lambda at: mean_level(line._heard.read(at, at + 256)))
        return line.voice_probability(detected, loudest, loudest + 256)

    assert line.noise_dbfs > -58
    assert said(0, 0.002) == START_THRESHOLD
    assert said(0, 0.0019) == 0.0019
    assert said(0, 0.9) == 0.9
    assert said(-12, 0.3) == 0.3
    # As loud as a voice, and not harmonic: a cough, a rustle, a door.
    assert said(0, 0.3, noisy(0.5, -20)) == 0.3
    harmonic(monkeypatch, 0.199)
    assert [said(0, detected) for detected in (0.0099, 0.01)] == [0.0099, START_THRESHOLD]
    harmonic(monkeypatch, 0.159)
    assert said(0, 0.39) == 0.39


@pytest.mark.interpreted
@pytest.mark.parametrize(("above_db", "counts"), [(11.9, False), (12.1, True)])
def test_a_faint_caller_is_suspected_only_well_above_the_noise(
    monkeypatch: pytest.MonkeyPatch, above_db: float, counts: bool
) -> None:
    harmonic(monkeypatch, 0.3)
    monkeypatch.setattr(Room, "caller_dbfs", -50.0)
    line = LineEvidence()
    hear(line, noisy(2, -50))
    begin = line._heard.end
    hear(line, np.full(256, 10 ** ((line.noise_dbfs + above_db) / 20)))
    assert (line.voice_probability(0.3, begin, begin + 256) == START_THRESHOLD) is counts


@pytest.mark.parametrize(("noise_dbfs", "in_noise"), [(-33, True), (-43, False), (-70, False)])
def test_a_voice_is_in_noise_that_stands_little_out_of_it(noise_dbfs: float, in_noise: bool) -> None:
    line = LineEvidence()
    hear(line, noisy(2, noise_dbfs))
    begin = line._heard.end
    hear(line, caller(1) + noisy(1, noise_dbfs))
    assert line.measure(begin, begin + 8_000).is_in_noise is in_noise


def test_a_faint_voice_on_a_quiet_line_is_not_in_noise() -> None:
    line = LineEvidence()
    hear(line, noisy(2, -62))
    begin = line._heard.end
    hear(line, caller(1) / 30 + noisy(1, -62))
    evidence = line.measure(begin, begin + 8_000)
    assert evidence.level_dbfs < evidence.noise_dbfs + 20
    assert not evidence.is_in_noise


def test_a_suspicion_counts_for_nothing_on_a_quiet_line_nor_before_the_caller_is_known() -> None:
    quiet = learned()
    hear(quiet, caller(1, 3))
    assert quiet.voice_probability(0.39, 37_000, 37_256) == 0.39
    unknown = LineEvidence()
    hear(unknown, np.concatenate((noisy(2, -50), caller(1))))
    assert unknown.voice_probability(0.39, 18_000, 18_256) == 0.39


def test_the_agents_voice_on_its_way_back_is_nobodys() -> None:
    said = agent(5)
    line = over_a_line(echo_of(said, -20, 1_000), said)
    assert line.voice_probability(0.99, 38_000, 38_256) == 0
    assert line.voice_probability(0.2, 38_000, 38_256) == 0.2


def test_a_detector_hears_a_noisy_line_louder_and_a_quiet_one_as_it_is() -> None:
    frame = pcm(caller(0.02) / 10)
    line = LineEvidence()
    assert line.for_detection(frame) == frame
    hear(line, noisy(2, -50))
    louder = np.frombuffer(line.for_detection(frame), dtype="<i2")
    assert louder == pytest.approx(3 * np.frombuffer(frame, dtype="<i2").astype(int), abs=1)


# ── voices ────────────────────────────────────────────────────────────────────────


def test_nothing_is_said_about_a_voice_that_is_not_known_yet() -> None:
    line = LineEvidence()
    hear(line, caller(1))
    evidence = line.measure(0, 4_000)
    assert evidence.likeness is None
    assert evidence.is_caller is None
    line.learn([(0, 800)])
    assert line.measure(0, 4_000).likeness is None
    assert line.room.caller_dbfs is None


def test_what_may_hold_an_echo_is_what_was_played_shortly_before() -> None:
    line = LineEvidence()
    line.play(pcm(agent(1)), 0)
    hear(line, np.zeros(3 * RATE_HZ))
    assert line.may_be_echo(0, 800)
    assert line.may_be_echo(RATE_HZ + LONGEST_DELAY, RATE_HZ + LONGEST_DELAY + 800)
    assert not line.may_be_echo(RATE_HZ + LONGEST_DELAY + MARGIN, 2 * RATE_HZ)


def test_the_caller_is_known_again_and_a_stranger_is_not_the_caller() -> None:
    own = measured_next(learned(), caller(0.5, seed=11), 35_200)
    other = measured_next(learned(), stranger(0.5, seed=11), 35_200)
    assert own.is_caller is True
    assert other.is_caller is False


def test_the_same_voice_from_the_other_end_of_the_room_is_less_like_the_callers() -> None:
    near = measured_next(learned(), caller(0.5, seed=11), 35_200)
    away = measured_next(learned(), caller(0.5, seed=11) / 5, 35_200)
    assert near.likeness is not None
    assert away.likeness is not None
    assert away.likeness < near.likeness
    assert away.level_dbfs == pytest.approx(near.level_dbfs - 14, abs=1)


def test_learning_reaches_back_only_as_far_as_audio_is_kept() -> None:
    line = LineEvidence()
    hear(line, np.concatenate((caller(2), np.zeros(HEARD))))
    line.learn([(0, 16_000)])
    assert line.room.caller_dbfs is None


@pytest.mark.interpreted
def test_a_turn_is_learned_piece_by_piece_while_more_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    analysed: list[int] = []
    analyse = Stretch.of

    def noting(piece: Any, floor_dbfs: float) -> Any:
        analysed.append(len(piece))
        return analyse(piece, floor_dbfs)

    monkeypatch.setattr(Stretch, "of", noting)
    line = LineEvidence()
    hear(line, np.concatenate((np.zeros(1_600), caller(2))))
    line.learn([(1_600, 17_600)])
    assert analysed == [], "whoever has just finished waits for an answer"
    for pieces in range(1, 6):
        line.go_on_learning()
        assert len(analysed) == pieces
    line.go_on_learning()
    assert sum(analysed) == 16_000
    assert len(line._room) == 1


@pytest.mark.parametrize("steps", [0, 1, 4, 9])
@pytest.mark.parametrize("heard_behind", [0, FRAME, HEARD])
def test_what_is_learned_does_not_depend_on_when_it_is_asked_for(heard_behind: int, steps: int) -> None:
    line, at_once = LineEvidence(), LineEvidence()
    for each in (line, at_once):
        hear(each, np.concatenate((np.zeros(1_600), caller(2))))
        each.learn([(1_600, 17_600)])
    assert at_once.room.caller_dbfs is not None
    told = []
    for _ in range(steps):
        line.go_on_learning()
    for each in (line, at_once):
        hear(each, np.zeros(heard_behind))
        told.append(measured_next(each, stranger(0.5) / 3, 17_600 + heard_behind))
    assert told[0].caller_dbfs == pytest.approx(told[1].caller_dbfs, abs=0.01)
    assert told[0].likeness == pytest.approx(told[1].likeness, abs=0.01)
    assert told[0].is_caller is False


def test_a_profile_follows_a_caller_who_grows_quieter() -> None:
    line = learned()
    before = line.room.caller_dbfs
    for seed in range(20, 40):
        hear(line, np.concatenate((np.zeros(1_600), caller(2, seed) / 2)))
        end = 35_200 + (seed - 19) * 17_600
        line.learn([(end - 16_000, end)])
    after = line.room.caller_dbfs
    assert before is not None
    assert after is not None
    assert -6.5 < after - before < -4


# ── several voices ────────────────────────────────────────────────────────────────


class Talk:
    """A line, and how much of it was heard."""

    def __init__(self, seconds_learned: int = 0) -> None:
        self.line = learned(seconds_learned)
        self.heard = seconds_learned // 2 * 17_600

    def hears(self, sound: Sound) -> Evidence:
        """The sound half a second after the last, and what is measured of it."""
        hear(self.line, np.concatenate((np.zeros(4_000), sound)))
        self.heard += 4_000 + len(sound)
        return self.line.measure(self.heard - len(sound), self.heard)

    def answers(self, sound: Sound, *, insisted: bool = False) -> Evidence:
        """The sound is taken for a turn; what was measured of it before."""
        evidence = self.hears(sound)
        self.line.learn([(self.heard - len(sound), self.heard)], insisted=insisted)
        return evidence


QUIETLY = 10 ** (-8 / 20)


def test_a_stranger_who_spoke_first_is_not_taken_for_the_caller_once_the_caller_has_spoken() -> None:
    talk = Talk()
    talk.answers(stranger(1.5, 1) * QUIETLY)
    assert talk.answers(caller(0.5, 2)).is_caller is not False
    assert talk.answers(caller(0.5, 3)).is_caller is not False
    assert talk.hears(stranger(1.5, 4) * QUIETLY).is_caller is False
    assert talk.hears(caller(0.5, 5)).is_caller is True
    assert len(talk.line.room) == 2


def test_from_a_single_turn_only_a_clearly_quieter_voice_is_somebody_elses() -> None:
    talk = Talk()
    talk.answers(stranger(1.5, 1))
    assert talk.hears(caller(0.5, 2)).is_caller is None
    assert talk.hears(caller(0.5, 2) * QUIETLY).is_caller is False


def test_a_voice_that_is_clearly_louder_than_the_callers_is_nobody_in_the_background() -> None:
    talk = Talk(4)
    assert talk.hears(stranger(0.5, 11)).is_caller is False
    assert talk.hears(stranger(0.5, 11) * 2).is_caller is None


def test_a_voice_that_comes_back_is_the_caller_rather_than_one_that_spoke_once_longer_and_louder() -> None:
    talk = Talk()
    talk.answers(stranger(2, 1) * 1.2)
    for seed in range(2, 6):
        talk.answers(caller(0.5, seed))
    assert talk.hears(caller(0.5, 6)).is_caller is True
    assert talk.hears(stranger(1, 7)).is_caller is False


def test_whoever_insists_is_the_caller_from_then_on() -> None:
    talk = Talk(4)
    assert talk.hears(stranger(1, 11) * QUIETLY).is_caller is False
    talk.answers(stranger(1, 12) * QUIETLY, insisted=True)
    assert talk.hears(stranger(1, 14) * QUIETLY).is_caller is not False


def test_who_was_overheard_is_known_again_and_never_the_caller() -> None:
    talk, other = Talk(4), voice(135, (560, 1_500, 2_500), 0.5, 12) * 10 ** (-4 / 20)
    before = talk.hears(other).likeness
    for seed in range(3):
        remark = voice(135, (560, 1_500, 2_500), 1, seed) * 10 ** (-4 / 20)
        talk.hears(remark)
        talk.line.overhear(talk.heard - len(remark), talk.heard)
    after = talk.hears(other).likeness
    assert before is not None
    assert after is not None
    assert after < before
    assert talk.hears(caller(0.5, 13)).is_caller is True


def test_a_room_in_which_only_others_were_overheard_has_no_caller() -> None:
    talk = Talk()
    talk.hears(stranger(1, 1))
    talk.line.overhear(talk.heard - 8_000, talk.heard)
    assert talk.line.room.caller_dbfs is None
    assert talk.hears(caller(1, 2)).likeness is None


def test_one_who_speaks_now_louder_now_softer_and_trails_off_is_one_voice() -> None:
    talk = Talk()
    for seed, level_db in enumerate((0, -8, 3, -6, 0)):
        trailing = np.concatenate((np.ones(12_000), np.full(4_000, 10 ** (-25 / 20))))
        talk.answers(caller(2, seed) * trailing * 10 ** (level_db / 20))
    assert len(talk.line.room) == 1
    assert talk.line.room.caller_dbfs == pytest.approx(-21, abs=2), "its tails do not make a voice softer"


def test_no_more_voices_are_kept_than_a_few_and_the_caller_is_among_them() -> None:
    talk = Talk(6)
    for number in range(MOST_VOICES + 3):
        talk.answers(voice(90 * 1.35**number, (500, 1_400, 2_400), 1, number) * QUIETLY)
        assert len(talk.line.room) <= MOST_VOICES
    assert len(talk.line.room) == MOST_VOICES
    assert talk.hears(caller(1, 21)).is_caller is True


# ── speech or not ─────────────────────────────────────────────────────────────────


def test_a_voice_is_voice_and_a_burst_of_noise_is_none() -> None:
    line = LineEvidence()
    burst = np.random.default_rng(4).normal(size=2_400) * np.exp(-np.arange(2_400) / 600)
    hear(line, np.concatenate((caller(0.5), np.zeros(4_000), 0.3 * burst)))
    assert line.measure(0, 4_000).is_voice is True
    assert line.measure(8_000, 10_400).is_voice is False


def test_levels_are_those_of_the_voice_and_of_the_noise_between() -> None:
    line = LineEvidence()
    hear(line, np.concatenate((np.zeros(8_000), caller(1))))
    evidence = line.measure(8_000, 16_000)
    assert evidence.noise_dbfs == pytest.approx(NOISE_DBFS, abs=1.5)
    assert evidence.level_dbfs == pytest.approx(-20, abs=2)


def test_made_up_silence_does_not_lower_the_noise_floor() -> None:
    line = LineEvidence()
    hear(line, np.zeros(8_000))
    floor = line.measure(0, 800).noise_dbfs
    line.hear(bytes(2 * 3 * RATE_HZ))
    assert line.measure(0, 800).noise_dbfs == floor


def test_a_loud_line_is_not_taken_for_quiet_because_it_once_was() -> None:
    line = LineEvidence()
    hear(line, np.zeros(8_000))
    for _ in range(10):
        hear(line, 0.05 * np.random.default_rng(0).normal(size=8_000))
    assert line.measure(80_000, 88_000).noise_dbfs > -30


def evidence_of(
    *, seconds: float = 0.3, level_dbfs: float = -40, echo: float, agent_dbfs: float | None = -18
) -> Evidence:
    return Evidence(
        seconds=seconds,
        level_dbfs=level_dbfs,
        noise_dbfs=-60,
        echo=echo,
        agent_dbfs=agent_dbfs,
        likeness=None,
        voicing=1,
    )


def test_a_short_faint_stretch_may_be_echo_as_long_as_the_agent_speaks() -> None:
    assert evidence_of(seconds=0.13, echo=0).is_echo is None
    assert evidence_of(seconds=0.13, echo=0, agent_dbfs=None).is_echo is False
    assert evidence_of(seconds=0.13, echo=0, level_dbfs=-25).is_echo is False
    assert evidence_of(seconds=0.13, echo=0.3).is_echo is True
    assert evidence_of(seconds=0.13, echo=0.3, level_dbfs=-25).is_echo is None
    assert evidence_of(seconds=0.13, echo=0.5, level_dbfs=-25).is_echo is True


def test_what_is_far_below_the_callers_own_level_while_the_agent_speaks_was_not_said_into_the_telephone() -> None:
    def is_voice(level_dbfs: float, caller_dbfs: float | None, *, speaking: bool = True) -> bool | None:
        evidence = evidence_of(level_dbfs=level_dbfs, echo=0, agent_dbfs=-18 if speaking else None)
        return replace(evidence, caller_dbfs=caller_dbfs).is_voice

    assert is_voice(-44, -25) is False
    assert is_voice(-42, -25) is True
    assert is_voice(-44, -30) is True
    assert is_voice(-44, None) is True
    assert is_voice(-44, -25, speaking=False) is True


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.0, False), (0.049, False), (0.05, None), (0.299, None), (0.3, True), (1.0, True)]
)
def test_between_two_thresholds_nothing_is_sure(value: float, verdict: bool | None) -> None:
    assert evidence_of(echo=value).is_echo is verdict


# ── what a line can carry ─────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("hear"), st.binary(max_size=900)),
            st.tuples(st.just("play"), st.binary(max_size=900), st.integers(-10_000, 60_000)),
            st.tuples(st.just("stop"), st.integers(-10_000, 60_000)),
            st.tuples(st.just("overhear"), st.integers(-10_000, 90_000), st.integers(-10_000, 90_000)),
            st.tuples(st.just("measure"), st.integers(-10_000, 90_000), st.integers(-10_000, 90_000)),
            st.tuples(
                st.just("learn"),
                st.lists(st.tuples(st.integers(-10_000, 90_000), st.integers(-10_000, 90_000)), max_size=3),
            ),
        ),
        max_size=30,
    )
)
def test_whatever_comes_numbers_stay_within_their_ranges(steps: list[Any]) -> None:
    line = LineEvidence()
    for name, *arguments in steps:
        result = getattr(line, name)(*arguments)
        if name == "measure":
            assert 0 <= result.echo <= 1
            assert 0 <= result.voicing <= 1
            assert result.likeness is None or 0 <= result.likeness <= 1
            assert -120 < result.level_dbfs < 4


@pytest.mark.parametrize(
    "sound", [bytes(32_000), b"\xff\x7f" * 16_000, b"\x00\x80" * 16_000, b"\xff\x7f\x00\x80" * 8_000]
)
def test_extreme_audio_is_measured_like_any(sound: bytes) -> None:
    line = LineEvidence()
    line.play(sound, 0)
    line.hear(sound)
    line.learn([(0, 16_000)])
    evidence = line.measure(8_000, 12_000)
    assert np.isfinite([evidence.level_dbfs, evidence.noise_dbfs, evidence.echo, evidence.voicing]).all()


def test_playback_far_ahead_or_long_past_leaves_the_present_alone() -> None:
    line, said = LineEvidence(), agent(2)
    line.play(pcm(said), 0)
    hear(line, echo_of(said, -20, 1_000))
    before = line.measure(9_000, 11_400).echo
    line.play(bytes(640), -5_000)
    assert line.measure(9_000, 11_400).echo == pytest.approx(before, abs=0.1)
    line.play(pcm(agent(1)), 40 * PLAYED)
    assert line.measure(9_000, 11_400).echo == 0


def test_measuring_takes_about_a_millisecond_and_hearing_microseconds() -> None:
    line, said = learned(), agent(2)
    line.play(pcm(said), 35_200)
    hear(line, caller(2))

    def fastest(work: Callable[[], object]) -> float:
        times = []
        for _ in range(40):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
        return min(times)

    # The fastest of many: other work on the machine must not fail this.
    assert fastest(lambda: line.measure(46_000, 48_400)) < 2e-3
    frame = bytes(FRAME)
    assert fastest(lambda: line.hear(frame)) < 50e-6
    assert line.room.caller_dbfs is not None


# ── where a voice begins ────────────────────────────────────────────────────────


@pytest.mark.parametrize("faint", [0.04, 0.12])
def test_a_voice_over_an_echo_begins_where_it_comes_up(faint: float) -> None:
    line = LineEvidence()
    line.hear(pcm(np.concatenate((agent(0.6) * faint, caller(0.4)))))
    onset = line.onset(0, RATE_HZ) / RATE_HZ
    assert 0.5 <= onset <= 0.6


@pytest.mark.parametrize("faint", [0.25, 1.0])
def test_a_voice_of_one_loudness_begins_with_its_talkspurt(faint: float) -> None:
    line = LineEvidence()
    line.hear(pcm(np.concatenate((stranger(0.6) * faint, caller(0.4)))))
    assert line.onset(160, RATE_HZ) == 160


def test_a_knock_behind_a_voice_is_not_where_it_begins() -> None:
    line = LineEvidence()
    line.hear(pcm(np.concatenate((caller(0.5) * 0.2, np.full(160, 0.9), caller(0.2) * 0.2))))
    assert line.onset(0, 5_600) == 0


def test_the_beginning_of_nothing_is_where_it_would_be() -> None:
    line = LineEvidence()
    line.hear(pcm(caller(0.5)))
    assert line.onset(800, 800) == 800
