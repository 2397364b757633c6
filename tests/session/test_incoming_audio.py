"""What a call's audio becomes on its way in: who gets which of it when, and at what time a voice was heard."""

import math
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TypeVar

import pytest

from talkspurt.core.conversation import Conversation
from talkspurt.core.digits import EntryRules
from talkspurt.core.events import Event, SpeechStarted, SpeechStopped
from talkspurt.core.settings import Settings
from talkspurt.effects.secrets import SecretPad
from talkspurt.incoming import IncomingAudio
from talkspurt.media.evidence import LineEvidence
from talkspurt.ports import LINE_RATE_HZ, Transcript
from talkspurt.telemetry.journal import NoJournal

WINDOW = 256
FRAME = 160
T = TypeVar("T")
QUIET = b"\x00\x00" * FRAME
LOUD = b"\x00\x40" * FRAME


class Detector:
    """Implements `VoiceActivityDetector` for one stream; decides when it is told to, of each window by one sample."""

    window = WINDOW

    def __init__(self) -> None:
        self.fed: list[bytes] = []
        self.closed = False
        self._decided = 0
        self._on_window: Callable[[float, int], None] = lambda _probability, _samples: None

    def open(self, on_window: Callable[[float, int], None], /) -> "Detector":
        self._on_window = on_window
        return self

    def feed(self, pcm: bytes, /) -> None:
        self.fed.append(pcm)

    def steps(self) -> Iterator[None]:
        audio = b"".join(self.fed)
        while len(audio) >= 2 * (self._decided + WINDOW):
            voiced = any(audio[2 * self._decided : 2 * (self._decided + WINDOW)])
            self._decided += WINDOW
            self._on_window(0.9 if voiced else 0.0, self._decided)
            yield

    def close(self) -> None:
        self.closed = True


class Ears:
    """Implements `RecognizerStream`; keeps what it is fed."""

    def __init__(self) -> None:
        self.fed: list[bytes] = []

    def feed(self, pcm: bytes, /) -> None:
        self.fed.append(pcm)

    def begin(self, utterance: int, lead_in: float, /) -> None: ...

    def finalize(self, utterance: int, revision: int, /) -> None: ...

    def end(self, utterance: int, /) -> None: ...

    async def transcripts(self) -> Iterator[Transcript]:
        raise NotImplementedError

    async def aclose(self) -> None: ...


class Line:
    """A caller's line: a frame every 20 ms, and a detector that decides behind each."""

    def __init__(self, *, keeps_secrets: bool = False) -> None:
        self.now = 0.0
        self.pad = SecretPad()
        self.detector, self.ears = Detector(), Ears()
        self.evidence = LineEvidence()
        self.facts: list[Event] = []
        self.incoming = IncomingAudio(
            Conversation(Settings(greeting="Hello.")),
            self.evidence,
            self.pad,
            keeps_secrets=keeps_secrets,
            minimum_voiced=0.096,
            now=lambda: self.now,
            post=self.facts.append,
            journal=NoJournal(),
        )
        self.incoming.open(self.detector, self.ears)  # type: ignore[arg-type] # nobody asks these ears for words
        self.incoming.begin_line()

    def told(self, kind: type[T]) -> list[T]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def hear(self, *frames: bytes) -> None:
        for frame in frames:
            self.now += FRAME / LINE_RATE_HZ
            self.incoming.hear(frame)
            for _ in self.detector.steps():
                pass


def numbered(count: int) -> list[bytes]:
    return [bytes([number, 0]) * FRAME for number in range(1, count + 1)]


def test_the_recognizer_hears_every_frame_at_once() -> None:
    line = Line()
    for frame in numbered(9):
        line.hear(frame)
        assert line.ears.fed[-1] == frame
    assert line.ears.fed == numbered(9)


def test_the_detector_is_given_only_what_makes_a_window_whole_and_no_sample_is_lost() -> None:
    line = Line()
    line.hear(*numbered(16))
    assert b"".join(line.detector.fed) == b"".join(numbered(16))
    ends = list(accumulate(len(pcm) // 2 for pcm in line.detector.fed))
    assert ends == [320, 640, 800, 1120, 1280, 1600, 1920, 2080, 2400, 2560]
    assert [end // WINDOW for end in ends] == list(range(1, 11))


def test_evidence_has_every_window_that_is_decided() -> None:
    line = Line()
    line.hear(LOUD, LOUD, LOUD)
    kept = line.evidence.lately_heard(LINE_RATE_HZ)
    assert len(kept) == len(b"".join(line.detector.fed)) == 4 * FRAME
    assert all(sample != 0 for sample in kept[1::2])


@pytest.mark.parametrize("quiet", range(8))
def test_a_voice_is_heard_when_it_was_on_the_line_whatever_waits(quiet: int) -> None:
    line = Line()
    line.hear(*[QUIET] * quiet, *[LOUD] * 20)
    (started,) = line.told(SpeechStarted)
    onset = quiet * FRAME // WINDOW * WINDOW / LINE_RATE_HZ
    assert started.at == pytest.approx(onset)
    line.hear(*[QUIET] * 30)
    (stopped,) = line.told(SpeechStopped)
    assert stopped.at == pytest.approx(math.ceil((quiet + 20) * FRAME / WINDOW) * WINDOW / LINE_RATE_HZ)


@pytest.mark.parametrize("frames", range(1, 9))
def test_what_waits_is_delivered_and_an_utterance_begins_where_it_began(frames: int) -> None:
    line = Line()
    line.hear(*numbered(frames))
    assert line.incoming.delivered() == frames * FRAME
    # The recognizer has heard all of it, and so much of the utterance.
    assert line.incoming.begin_utterance(0.01) == pytest.approx(frames * 0.02 - 0.01)
    assert line.incoming._utterance_from == 80


def test_what_the_muter_holds_is_delivered_and_was_on_the_line_before_now() -> None:
    line = Line(keeps_secrets=True)
    line.pad.collect("call-1", EntryRules(shortest=4, longest=4))
    line.hear(*numbered(10))
    assert line.incoming.delivered() == 10 * FRAME
    heard = sum(map(len, line.ears.fed)) // 2
    assert 0 < heard < 10 * FRAME
    assert line.incoming.begin_utterance(0.0) == pytest.approx(heard / LINE_RATE_HZ)


def test_another_line_begins_anew_and_keeps_its_place_in_the_audio() -> None:
    line = Line()
    line.hear(*[LOUD] * 9)
    line.incoming.begin_line()
    line.hear(*[QUIET] * 20)
    # Who was cut off is not said to have stopped.
    assert not line.told(SpeechStopped)
    line.hear(*[LOUD] * 9)
    first, second = line.told(SpeechStarted)
    assert (first.talkspurt, second.talkspurt) == (1, 2)
    assert second.at == pytest.approx(29 * FRAME // WINDOW * WINDOW / LINE_RATE_HZ)


def test_the_place_at_the_detector_is_given_back() -> None:
    line = Line()
    line.incoming.close()
    assert line.detector.closed
