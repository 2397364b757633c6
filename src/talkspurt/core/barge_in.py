"""Whether a voice that is heard while it is the agent's turn takes the turn away: in two steps.

The first step is taken at the first voiced frames: fall silent at once, unless the voice is
known not to be the caller's. The second comes `patience` later, if the voice still goes on: by
then its sound tells more, and the agent either stays silent or goes on from the word where it
stopped. A voice that has ceased meanwhile is judged by its words instead (see `Conversation`).

A carrier cannot duck or hold what it has received (see docs/adr): yielding is `clear`, going on
is sending the unheard rest again.
"""

from dataclasses import dataclass, replace

from talkspurt.core.events import SpeechStopped, Voice


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The rules. The thresholds behind a `Voice` are measured where it is (`talkspurt.media.evidence`)."""

    patience: float = 0.3
    """Seconds from falling silent to the second step: from then on the sound tells somebody else from the caller."""
    brief: float = 0.65
    """Voice (seconds) up to which unknown words into the agent's speech leave it the turn: most backchannels last less
    than half a second (Ward and Tsukahara 2000), which a detector makes 0.1 to 0.15 s longer, and of such shortness
    little is recognised ("no, keep" for "okay")."""
    brief_words: int = 4
    """… and words of it: of a hum come as many ("Let me see this."), and who wants the turn says none so fast."""
    fastest: float = 8.0
    """Words a second that nobody exceeds: conversation has three to four. Of a hum in noise recognizers make more ("I'm
    going to see what" in 0.42 s), which says as little as a few."""
    second_thought: float = 0.3
    """Seconds of silence behind such words, an "mm-hm" or a cough until the agent goes on: time to say more, and for a
    "stop" that was not understood to have stopped it for a moment. In noise a detector hears a voice in pieces, with
    0.17 to 0.25 s from the end of one until the next is sure (seen in journals of bench-turns): whoever goes on sooner
    starts and stops with each of them."""
    insistence: float = 1.5
    """Seconds behind such words, from where the agent went on, within which a voice that begins is not passed over for
    being brief: whoever was not understood says it again as soon as they hear that the agent goes on. An "I see" and
    the "mm" behind it are farther apart."""

    def may_stop(self, voice: Voice) -> bool:
        """The first step: whether to fall silent. Not for an echo, nor for what may be one; not for a noise."""
        return voice.is_echo is False and voice.is_voice is not False

    def is_foreign(self, voice: Voice) -> bool:
        """The second step: whether this is not the caller speaking, but an echo, a noise, or somebody else."""
        return self.is_somebody_else(voice) or voice.is_voice is False

    def is_somebody_else(self, voice: Voice) -> bool:
        """Whether words of this voice are not the caller's."""
        return voice.is_echo is True or voice.is_caller is False


def together(before: Voice | None, voice: Voice) -> Voice:
    """The voice of an utterance of several talkspurts: it is somebody else's, or no voice, only if all of them are."""
    if before is None:
        return voice
    return Voice(
        is_echo=_all_or(True, before.is_echo, voice.is_echo),
        is_caller=_all_or(False, before.is_caller, voice.is_caller),
        is_voice=_all_or(False, before.is_voice, voice.is_voice),
        is_in_noise=before.is_in_noise or voice.is_in_noise,
    )


def _all_or(bad: bool, before: bool | None, after: bool | None) -> bool | None:
    if before is bad:
        return after
    return before if after is bad else after


@dataclass(frozen=True, slots=True)
class Dismissed:
    """A talkspurt that goes on although it was judged not to be for us, or has to wait; 0 for none."""

    talkspurt: int = 0
    stranger: bool = False
    """Its voice was somebody else's."""
    wordless: bool = False
    """Since the caller's last words, something went on for `max_utterance` without any: music, perhaps. Only what is
    surely the caller's voice stops the agent."""
    over: SpeechStopped | None = None
    """It has ended while it had to wait."""

    def next(self, talkspurt: int = 0, *, stranger: bool = False) -> "Dismissed":
        """Another talkspurt, or none, in place of this one."""
        return Dismissed(talkspurt, stranger, self.wordless)

    def ended(self, event: SpeechStopped) -> "Dismissed":
        """It has ended, and waits; of several that do, the first begins what was said."""
        if self.over is not None:
            began = self.over.at - self.over.voiced
            event = replace(
                event, voiced=max(event.voiced, event.at - began), voice=together(self.over.voice, event.voice)
            )
        return replace(self, over=event)

    def doubts(self, voice: Voice) -> bool:
        """Whether a voice that begins to speak may be what has no words."""
        return self.wordless and voice.is_caller is not True

    def is_caller_now(self, voice: Voice, *, silent: bool = False) -> bool:
        """Whether by now the caller speaks: an echo has given way to a voice, a stranger's voice to theirs.

        `silent`: the agent says nothing that could be stopped.
        """
        doubted = self.stranger or (self.wordless and not silent)
        known = voice.is_caller is True or (voice.is_caller is None and not doubted)
        return known and voice.is_echo is False and voice.is_voice is not False
