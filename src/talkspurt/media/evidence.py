"""Whose voice is it? The numbers by which a conversation can tell the caller's voice on the line from the
echo of the agent's own, from somebody else in the room, and from noises that are no voice at all.

One `LineEvidence` per call hears and plays along; hearing a frame is a copy. Asked about a stretch of the
caller's line, it measures (0.3 ms, or 0.7 when the agent was speaking). `Evidence` holds the numbers; the verdicts
beside them apply thresholds measured by `benchmarks/line_evidence.py`, and a policy is free to use its own.

It decides nothing and keeps nothing but the last seconds and profiles of the line's voices. Positions are
samples of the line since the call began, for both directions. Nothing that a line can carry makes it raise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from talkspurt.media.echo import LONGEST_DELAY, MARGIN, EchoPath
from talkspurt.media.frames import RATE_HZ, WINDOW, GrowingStretch, analyse
from talkspurt.media.level import (
    Floats,
    NoiseFloor,
    amplified,
    audible_share,
    frame_levels,
    loudest_level,
    mean_level,
)
from talkspurt.media.ring import SampleRing
from talkspurt.media.room import Room
from talkspurt.media.talkspurts import START_THRESHOLD, STOP_THRESHOLD
from talkspurt.media.voice_profile import Stretch

HEARD: Final = 7 * RATE_HZ // 2
"""Samples of the caller that are kept: 3.5 s, so that a turn is still there after the longest wait. At most `LONGEST`
of them are measured or learned at once."""
PLAYED: Final = 7 * RATE_HZ // 2
"""Samples of the agent that are kept: a stretch of 2 s, the 0.6 s before it and 0.4 s ahead."""
LONGEST: Final = 2 * RATE_HZ
LEARNED_AT_ONCE: Final = 3_600
"""Samples that are analysed together when learning, so that no frame of theirs is left out."""
FLOOR_EVERY: Final = RATE_HZ
FRAME: Final = 160
"""Samples over which the line's noise and the agent's level are measured, 20 ms."""
SOFT_BEGINNING: Final = 3
"""Frames before its first loud one that still belong to a voice: many words begin with a soft consonant."""
LATELY: Final = 5 * FRAME
"""Samples by which it is told how loud a voice is by now, 0.1 s."""
COMES_UP_DB: Final = 15.0
"""How far below that it may have begun. An echo of -35 dB reaches 20 dB below a caller as loud as the agent, at its
loudest; counted in, a hum of 0.4 s was one of 0.65."""

NOISY: Final = 0.12
"""Harmonicity of noise; 0.09 to 0.16 were measured for white and street noise."""
HARMONIC: Final = 0.27
"""Harmonicity of a plain vowel; 0.25 to 0.5 in the middle of 17 voices' speech."""

ECHO: Final = 0.30
"""Share of energy from which a faint stretch is the agent's echo."""
RETURNING: Final = 0.4
"""Share that the remembered echo path must explain of a window for it to be nothing but echo. A caller who speaks over
an echo of -20 dB leaves it less than a tenth."""
NOISY_DBFS: Final = -58.0
"""Noise floor from which a line is noisy: quiet rooms on the telephone lie below it."""
NOISY_LINE_GAIN: Final = 3.0
"""What such a line is amplified by for the voice activity detector. Nine in ten voices are then noticed within 0.22 s
for 0.26 in noise at 20 dB or more, and 0.45 s for 0.67 below; noise is taken for one in 1.2 % of its windows for 4.8,
and 0.9 for 0.7. On a quiet line less is found, 76 % for 77 (`python -m benchmarks.turns.detector`)."""
SUSPECTED: Final[tuple[tuple[float, float], ...]] = ((0.002, 0.2), (0.01, 0.16))
"""Probability and harmonicity from which a window of a noisy line counts as voice if it is as loud as the caller's:
what the detector all but rules out must be all the more like a vowel. Coughs and doors are as loud, and are none. The
lowest probability comes first. In the frozen scenarios' noise below 20 dB 6.6 % of the callers' utterances are noticed
later than 0.3 s and 0.7 % not at all, for 27.5 and 9.6 without it; noise is taken for a voice 1.1 times a minute for
0.8, and of 392 coughs and doors 12 are for none (`python -m benchmarks.turns.hearing`)."""
IN_NOISE_DB: Final = 20.0
"""How far above the line's noise floor a voice stands that is not in noise. The floor lies below the noise itself: with
10 to 15 dB between voice and noise it was 16 to 21 dB below the voice's louder frames, with 20 dB 24 and more (seven
lines of the frozen scenarios, by a script that is not kept)."""
NEAR_DB: Final = 6.0
"""Decibels below the caller's level within which it is."""
CLEAR_DB: Final = 12.0
"""How far it must stand out of the noise besides. With 10 dB noise is taken for a voice 1.6 times as often, and hardly
more voices are heard (by a script that is not kept)."""
NO_ECHO: Final = 0.05
"""Share below which it is not, once it lasts `ECHO_SECONDS`: one in 100 of 0.3 s of echo lay below 0.12."""
ECHO_SECONDS: Final = 0.25
"""From here on a small share says something: of 0.13 s of echo, 4 in 100 had one."""
ECHO_LOSS_DB: Final = 12.0
"""Echo hardly ever comes back louder than this below the agent: telephones and networks are to lose 20 dB and more."""
LOUD_ECHO: Final = 0.50
"""Share from which even a louder stretch is echo; of callers' 0.13 s, one in 100 had 0.3, none 0.5."""
LOUD_NO_ECHO: Final = 0.12
"""Share below which a louder stretch is none, however short."""
SEARCHES: Final = 2
"""Seconds of the agent's speech that are searched for its echo, and after which none is reckoned with: one that is
audible is found in the first."""
SPEAKING: Final = 0.5
"""Share of a second that the agent speaks in one that is searched."""
OWN: Final = 0.5
"""Likeness from which a voice is taken for the caller's own."""
STRANGE: Final = 0.24
"""Likeness below which it is another's: of 0.3 s, 80 % of side talk at 0 to -12 dB and 1 to 2 % of callers are."""
VOICED: Final = 0.35
"""Voicing from which a stretch is speech."""
FAINT_DBFS: Final = -50.0
"""Active level below which nobody speaks into the telephone: callers come at -15 to -40 dBFS (-26, ITU-T P.56)."""
FAINT_DB: Final = 18.0
"""The same below the caller's own level, while the agent speaks: what little is heard then is an echo that cannot be
told, or far from the telephone. Callers' first syllables were up to 12 dB off their usual level."""
UNVOICED: Final = 0.15
"""Voicing below which it is a cough, a breath or a rustle."""

_LEARNED: Final = object()
"""There is nothing left to be learned."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured of a stretch of the caller's line."""

    seconds: float
    """How long the stretch is; all figures are surer of a longer one."""
    level_dbfs: float
    """Active level, the line's noise taken off."""
    noise_dbfs: float
    """The line's noise floor."""
    echo: float
    """0 to 1: share of the energy that the agent's own audio explains; 0 when nothing was played."""
    agent_dbfs: float | None
    """Level of the agent's own audio of which the stretch may hold the echo; None when nothing was played."""
    likeness: float | None
    """0 to 1: how much the voice resembles the caller's own; None until a word of it was learned."""
    voicing: float
    """0 to 1: how voiced it is; words have a vowel, coughs and rustles do not."""
    caller_dbfs: float | None = None
    """The caller's usual level; None until it is known."""
    echoless: bool = False
    """As long as was searched nothing of the agent's came back: this line has no echo, unless one begins just now."""

    @property
    def is_echo(self) -> bool | None:
        """Whether it is the agent's own voice; None when unsure."""
        if self.agent_dbfs is None:
            return False
        if self.echoless:
            return self.echo >= LOUD_ECHO
        if self.level_dbfs > self.agent_dbfs - ECHO_LOSS_DB:
            return _between(self.echo, LOUD_NO_ECHO, LOUD_ECHO)
        verdict = _between(self.echo, NO_ECHO, ECHO)
        return verdict if verdict or self.seconds >= ECHO_SECONDS else None

    @property
    def is_in_noise(self) -> bool:
        """Whether it stands so little out of the line's noise that what follows may be noticed late."""
        return self.noise_dbfs > NOISY_DBFS and self.level_dbfs < self.noise_dbfs + IN_NOISE_DB

    @property
    def is_caller(self) -> bool | None:
        """Whether it is the voice that was learned, not another's; None when unsure or nothing was learned."""
        return None if self.likeness is None else _between(self.likeness, STRANGE, OWN)

    @property
    def is_voice(self) -> bool | None:
        """Whether it is speech on the line at all; None when unsure. What is too faint was not said into it."""
        if self.level_dbfs < FAINT_DBFS:
            return False
        speaking = self.agent_dbfs is not None
        if speaking and self.caller_dbfs is not None and self.level_dbfs < self.caller_dbfs - FAINT_DB:
            return False
        return _between(self.voicing, UNVOICED, VOICED)


class LineEvidence:
    """One call's line, both directions. Not thread-safe."""

    def __init__(self, room: Room | None = None, *, kept: int = HEARD) -> None:
        """`kept` samples of the caller are kept, if somebody wants to hear more of them than the evidence needs."""
        self._heard = SampleRing(max(HEARD, kept))
        self._played = SampleRing(PLAYED)
        self._growing = GrowingStretch()
        self._floor = NoiseFloor()
        self._floor_at = 0
        self._echo = EchoPath()
        self._searches = 0
        self._room = Room() if room is None else room
        """The voices that are known, but for what is being learned."""
        self._learning: Iterator[None] | None = None
        """What is left of the last turn to be learned."""

    @property
    def room(self) -> Room:
        """The voices that are known."""
        self._learn_the_rest()
        return self._room

    @property
    def noise_dbfs(self) -> float:
        """The line's noise floor; a quiet room's as long as nothing was heard."""
        return self._floor.dbfs

    @property
    def echo_delay(self) -> int | None:
        """Samples after which the agent's echo comes back; None as long as none was found."""
        return self._echo.delay

    def hear(self, pcm: bytes) -> None:
        """Take the caller's next audio; half a sample at its end is ignored."""
        self._heard.append(pcm)
        if self._heard.end - self._floor_at >= FLOOR_EVERY:
            self._floor_at = self._heard.end
            second = self._heard.read(self._floor_at - FLOOR_EVERY, self._floor_at)
            self._floor.receive(second, FRAME)
            if self._searches < SEARCHES and self._echo.delay is None:
                self._search(second)

    def lately_heard(self, samples: int) -> bytes:
        """The caller's last samples as PCM16: so many, or all since the call began, of those that are kept."""
        return self._heard.read_pcm(max(self._heard.begin, self._heard.end - samples), self._heard.end)

    def play(self, pcm: bytes, at: int) -> None:
        """Note that the agent's audio will be played from position `at` on."""
        self._played.write(pcm, max(0, at))

    def stop(self, at: int) -> None:
        """Note that nothing was played from position `at` on after all."""
        self._played.silence_from(at)

    def may_be_echo(self, first: int, last: int) -> bool:
        """Whether anything was played of which the caller's samples from `first` to `last` may hold the echo."""
        return not self._played.is_silent(first - LONGEST_DELAY - MARGIN, last + MARGIN)

    def measure(self, first: int, last: int, *, echo: float | None = None) -> Evidence:
        """Measure the caller's samples from `first` to `last`; of a long stretch its last two seconds.

        `echo` is the share of echo if it is known from shortly before: to measure it is more than half of the work.
        """
        self._learn_the_rest()
        first, last = self._held(first, last)
        heard = self._heard.read(first, last)
        stretch = Stretch.of_frames(self._growing.analyse(first, heard), self._floor.dbfs)
        agent_dbfs = None
        if self.may_be_echo(first, last):
            played = self._played.read(first - LONGEST_DELAY - MARGIN, last + MARGIN)
            agent_dbfs = loudest_level(played, FRAME)
            echo = self._echo.share(heard, played) if echo is None else echo
        return Evidence(
            seconds=(last - first) / RATE_HZ,
            level_dbfs=stretch.level_dbfs,
            noise_dbfs=self._floor.dbfs,
            echo=echo or 0.0,
            agent_dbfs=agent_dbfs,
            likeness=self._room.likeness(stretch),
            voicing=_voicing(stretch),
            caller_dbfs=self._room.caller_dbfs,
            echoless=self._echo.delay is None and self._searches >= SEARCHES,
        )

    def onset(self, first: int, last: int) -> int:
        """From which sample between `first` and `last` a voice is heard that is about as loud as it is at `last`.

        A voice that comes up over an echo, or over somebody far away, begins in the middle of a talkspurt.
        """
        first, last = self._held(first, last)
        heard = self._heard.read(first, last)
        if len(heard) < FRAME:
            return first
        loud = int(np.argmax(frame_levels(heard, FRAME) > mean_level(heard[-LATELY:]) - COMES_UP_DB))
        return first + max(0, loud - SOFT_BEGINNING) * FRAME

    def for_detection(self, pcm: bytes) -> bytes:
        """The caller's audio as a voice activity detector hears it best."""
        return amplified(pcm, NOISY_LINE_GAIN) if self._floor.dbfs > NOISY_DBFS else pcm

    def voice_probability(self, detected: float, first: int, last: int) -> float:
        """How likely somebody speaks in a window that a detector gave a probability: the line may tell more."""
        if SUSPECTED[0][0] <= detected < START_THRESHOLD and self._sounds_like_caller(detected, first, last):
            detected = START_THRESHOLD
        # The agent's own voice on its way back is no talkspurt of anybody.
        return 0.0 if detected >= STOP_THRESHOLD and self.is_returning(first, last) else detected

    def is_returning(self, first: int, last: int) -> bool:
        """Whether a window of the caller's line is no more than the agent's voice on the echo path known so far."""
        if self._echo.delay is None:
            return False
        played = self._played.read(*self._echo.span(first, last))
        return self._echo.explained(self._heard.read(first, last), played) >= RETURNING

    def learn(self, turn: Sequence[tuple[int, int]], *, insisted: bool = False) -> None:
        """Take the talkspurts of a turn, each from its first to its last sample, for one voice's, likely the caller's.

        `insisted`: it was answered although it was somebody else's; that is the caller from now on. Call it as the
        turn ends: three and a half seconds after a sample was heard it is gone, and nothing is learned of it.

        The caller waits for an answer just now, so it is done piece by piece by `go_on_learning`, and what is left of
        it before anything is told of a voice.
        """
        self._learn_the_rest()
        pieces = [piece for first, last in turn for piece in self._pieces(first, last)]
        self._learning = self._learned_of(pieces, self._floor.dbfs, insisted=insisted)

    def overhear(self, first: int, last: int) -> None:
        """Take a talkspurt that just ended for somebody else's than the caller's."""
        self._learn_the_rest()
        self._room.overhear([Stretch.of(piece, self._floor.dbfs) for piece in self._pieces(first, last)])

    def go_on_learning(self) -> None:
        """Do the next piece of what there is to learn."""
        if self._learning is not None and next(self._learning, _LEARNED) is _LEARNED:
            self._learning = None

    def _learned_of(self, turn: Sequence[Floats], floor_dbfs: float, *, insisted: bool) -> Iterator[None]:
        """Learn the pieces of a turn, in a step for each and one more."""
        stretches = []
        for piece in turn:
            stretches.append(Stretch.of(piece, floor_dbfs))
            yield
        if insisted:
            self._room.hand_over()
        self._room.learn(stretches)

    def _learn_the_rest(self) -> None:
        if self._learning is not None:
            for _ in self._learning:
                pass
            self._learning = None

    def _sounds_like_caller(self, detected: float, first: int, last: int) -> bool:
        """Whether a window of a noisy line is as loud as the caller, louder than the noise, and sounds like a vowel."""
        caller_dbfs = self.room.caller_dbfs if self.noise_dbfs > NOISY_DBFS else None
        if caller_dbfs is None:
            return False
        heard = self._heard.read(first, last)
        if mean_level(heard) <= max(caller_dbfs - NEAR_DB, self.noise_dbfs + CLEAR_DB):
            return False
        harmonicity = float(analyse(heard).harmonicity[0])
        return any(detected >= probable and harmonicity >= periodic for probable, periodic in SUSPECTED)

    def _search(self, second: Floats) -> None:
        """Look for an echo in the last second, if the agent spoke in it: before anything is taken for a voice."""
        begin = self._floor_at - FLOOR_EVERY
        played = self._played.read(begin - LONGEST_DELAY - MARGIN, self._floor_at + MARGIN)
        if audible_share(played[LONGEST_DELAY + MARGIN :], FRAME) >= SPEAKING:
            self._searches += 1
            self._echo.share(second, played)

    def _pieces(self, first: int, last: int) -> list[Floats]:
        """A talkspurt as far as it is still there, in pieces that are analysed as a whole."""
        first, last = self._held(first, last)
        heard = self._heard.read(first, last)
        pieces = (heard[begin : begin + LEARNED_AT_ONCE] for begin in range(0, last - first, LEARNED_AT_ONCE))
        return [piece for piece in pieces if len(piece) >= WINDOW]

    def _held(self, first: int, last: int) -> tuple[int, int]:
        last = max(self._heard.begin, min(last, self._heard.end))
        return min(max(first, self._heard.begin, last - LONGEST), last), last


def _voicing(stretch: Stretch) -> float:
    # Weighed by amplitude: the s of "stop" is as long as its vowel, but fainter.
    weights = stretch.amplitudes
    periodic = (stretch.said.harmonicity - NOISY) / (HARMONIC - NOISY)
    periodic = np.minimum(np.maximum(periodic, 0), 1)
    return min(1.0, float(weights @ periodic / (np.add.reduce(weights) + 1e-9)))


def _between(value: float, no: float, yes: float) -> bool | None:
    if value >= yes:
        return True
    return False if value < no else None
