"""The audio of one call on its way in: to those who listen, and what is heard in it back as facts.

It goes to the evidence of whose voice is on the line, to the shared detector of voice activity and to the recognizer's
stream. Of what the detector decides it makes the facts that the conversation is told: a voice came up, goes on, has
ceased, and whose it is, measured as often as the conversation heeds it.

Everything is synchronous, and this is what a call does most often. So evidence and detector get their audio only when
there is enough for the next decision, 31 times a second instead of 50: hardly anything could be done with it before.
How much waits is known, and no time of a voice depends on it. The recognizer does not wait, for its answer would, too.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from talkspurt.core.conversation import Conversation
from talkspurt.core.events import (
    UNKNOWN_VOICE,
    Event,
    SpeechContinued,
    SpeechStarted,
    SpeechStirred,
    SpeechStopped,
    Voice,
)
from talkspurt.effects.secrets import SecretPad
from talkspurt.media.echo import SHORTEST
from talkspurt.media.evidence import LineEvidence
from talkspurt.media.talkspurts import TalkspurtStarted, TalkspurtStirred, TalkspurtTracker
from talkspurt.media.tones import ToneMuter
from talkspurt.ports import LINE_RATE_HZ, RecognizerStream, VoiceActivityDetector
from talkspurt.telemetry.journal import Journal

MOMENT: Final = LINE_RATE_HZ * 2 // 5
"""Samples that tell whose voice goes on; the evidence is sure from a third of a second."""
SAMPLE_BYTES: Final = 2


class IncomingAudio:
    """PCM16 at the line's rate, and the talkspurts in it. `open` it, and begin a line, before audio comes."""

    def __init__(
        self,
        conversation: Conversation,
        evidence: LineEvidence,
        pad: SecretPad,
        *,
        keeps_secrets: bool,
        minimum_voiced: float,
        now: Callable[[], float],
        post: Callable[[Event], None],
        journal: Journal,
    ) -> None:
        """`keeps_secrets`: callers may key in what nobody else is to hear; `now` is the conversation's clock."""
        self._conversation = conversation
        self._evidence = evidence
        self._pad = pad
        self._keeps_secrets = keeps_secrets
        self._minimum_voiced = minimum_voiced
        self._now = now
        self._post = post
        self._journal = journal
        self._muter = ToneMuter()
        self._waiting = b""
        """What came since the detector could decide something."""
        self._received = 0
        """Samples of the caller that evidence and detector were given since the session began."""
        self._talkspurts = 0
        self._windows = 0
        """Windows of the talkspurt under way since it was last reported."""
        self._echo_share = 0.0
        """How much of the talkspurt under way was the agent's echo when that was measured last."""
        self._stretches: deque[tuple[int, int]] = deque(maxlen=16)
        """First and last sample of the talkspurts of the current utterance."""
        self._utterance_from: int | None = None
        """First sample of the utterance under way; never 0."""

    def open(self, detector: VoiceActivityDetector, stream: RecognizerStream) -> None:
        """Let the detector and the recognizer's stream hear the line."""
        self._window = detector.window
        self._voice = detector.open(self._window_decided)
        self._stream = stream

    def close(self) -> None:
        """Give the place at the detector back."""
        self._voice.close()

    def begin_line(self) -> None:
        """Another attachment: who was cut off in the middle of a word begins anew, and is not taken for speaking on."""
        self._tracker = TalkspurtTracker(window=self._window, rate_hz=LINE_RATE_HZ, minimum_voiced=self._minimum_voiced)

    def begin_utterance(self, at: float) -> float:
        """What is said from time `at` on is one utterance. Returns how many seconds of it the recognizer was given."""
        self._stretches.clear()
        begun = self._heard_until - at
        self._utterance_from = max(1, self._heard - round(begun * LINE_RATE_HZ))
        return begun

    def end_utterance(self) -> None:
        """The utterance is over."""
        self._utterance_from = None

    def learn_voice(self, *, insisted: bool) -> None:
        """The turn that ends was one voice's, likely the caller's."""
        self._evidence.learn(self._stretches, insisted=insisted)

    def delivered(self) -> int:
        """Samples that the line has brought, those that the muter holds too."""
        return self._heard + self._muter.held

    def hear(self, pcm: bytes) -> None:
        """The caller's next audio. The tones of a secret's keys go no further than this."""
        if self._keeps_secrets and (self._conversation.asks_secret or self._pad.mutes(self._now())):
            pcm = self._muter.feed(pcm)
        elif self._muter.held:
            pcm = self._muter.flush() + pcm
        self._stream.feed(pcm)
        if self._waiting:
            pcm = self._waiting + pcm
        received = self._received + len(pcm) // SAMPLE_BYTES
        if received // self._window == self._received // self._window:
            self._waiting = pcm
            return
        self._waiting = b""
        self._received = received
        self._evidence.hear(pcm)
        self._voice.feed(self._evidence.for_detection(pcm))
        self._evidence.go_on_learning()

    @property
    def _heard(self) -> int:
        """Samples that have come through the muter."""
        return self._received + len(self._waiting) // SAMPLE_BYTES

    @property
    def _heard_until(self) -> float:
        """When the last of them was on the line."""
        return self._now() - self._muter.held / LINE_RATE_HZ

    def _window_decided(self, probability: float, samples: int) -> None:
        tracker = self._tracker
        fact = tracker.receive(self._evidence.voice_probability(probability, samples - self._window, samples), samples)
        if fact is None:
            if tracker.active:
                self._windows += 1
                if self._windows * self._window >= self._conversation.heeds_voice * LINE_RATE_HZ:
                    self._windows = 0
                    known = None if self._conversation.heeds_echo else self._echo_share
                    voice = self._voice_of(tracker.first, samples, echo=known)
                    at = self._when(samples / LINE_RATE_HZ)
                    self._post(SpeechContinued(self._talkspurts, at, self._of_one(tracker.voiced, samples), voice))
            return
        at = self._when(fact.at)
        if isinstance(fact, TalkspurtStirred):
            self._post(SpeechStirred(at))
        elif isinstance(fact, TalkspurtStarted):
            self._talkspurts += 1
            self._windows = 0
            self._post(SpeechStarted(self._talkspurts, at, self._first_voice_of(tracker.first, samples)))
        else:
            last = round(fact.at * LINE_RATE_HZ)
            self._stretches.append((max(tracker.first, self._utterance_from or 0), last))
            voice = self._voice_of(tracker.first, last)
            if voice.is_caller is False and voice.is_echo is False and voice.is_voice is not False:
                self._evidence.overhear(tracker.first, last)
            self._post(SpeechStopped(self._talkspurts, at, self._of_one(fact.voiced, last), voice))

    def _when(self, heard: float) -> float:
        """When the sample was on the line before which so many seconds had been heard.

        The tracker counts samples; the conversation counts seconds, so lost time on the line does not add up.
        """
        return self._heard_until - (self._heard / LINE_RATE_HZ - heard)

    def _of_one(self, voiced: float, last: int) -> float:
        """The seconds of voice up to `last` that are of the voice that is heard by then: not of an echo before it."""
        begin = self._utterance_from or self._evidence.onset(max(self._tracker.first, last - LINE_RATE_HZ), last)
        return max(0.0, min(voiced, (last - begin) / LINE_RATE_HZ))

    def _first_voice_of(self, first: int, last: int) -> Voice:
        """Whose voice the talkspurt is that begins, if anything depends on it: to measure takes half a millisecond."""
        # Of one that began at two windows an echo could not be told.
        first = max(0, min(first, last - SHORTEST))
        if self._conversation.heeds_beginning or self._evidence.may_be_echo(first, last):
            return self._voice_of(first, last)
        self._echo_share = 0.0
        return UNKNOWN_VOICE

    def _voice_of(self, first: int, last: int, *, echo: float | None = None) -> Voice:
        """Whose voice the talkspurt is: judged from where its utterance began, or by its last moment while it has none.

        What was heard before may have been an echo or somebody else: that is why it has no utterance.
        """
        evidence = self._evidence.measure(max(first, self._utterance_from or last - MOMENT), last, echo=echo)
        self._echo_share = evidence.echo
        self._journal.measured(evidence)
        return Voice(
            is_echo=evidence.is_echo,
            is_caller=evidence.is_caller,
            is_voice=evidence.is_voice,
            is_in_noise=evidence.is_in_noise,
        )
