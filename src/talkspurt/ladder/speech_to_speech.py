"""Speech to speech as the first rung of two stages of a call, with the stages that it replaces below it.

In a call the vendor's session is the first recognizer and the first model. When it fails, the call goes on with the
configured recognizer and the first fallback model, which is shown what was heard; between two utterances a call tries
to come back. A transcript that is late or empty is no such failure: another one's words are taken for it, and the model
goes on, which hears the caller whatever is written down. Words that are not the model's, and the rest of what its voice
does not finish, are the synthesizer's in any case (`talkspurt.speech_to_speech.speaking`).
"""

from typing import Final

from talkspurt.ladder.model import LadderModel
from talkspurt.ladder.recognizer import LadderRecognizer, Opinions
from talkspurt.ladder.rung import Patience, Rung
from talkspurt.ladder.warming import warm
from talkspurt.ports import LanguageModel, Recognizer, SpeechToSpeech, Stages

CONNECTING: Final = 3.0
"""Seconds for a session to begin: it does while the greeting is spoken."""
BETWEEN_WORDS: Final = 8.0
"""Seconds between two words of a reply: its text runs far ahead of its sound, and ends only with it. Sound that stalls
is found by whoever waits for it."""
BELOW: Final = Patience(10.0, 10.0)
"""For a ladder that is a rung: it has patience of its own."""


class LadderSpeechToSpeech:
    """The stages of calls whose model hears, thinks and speaks itself, and outlives its vendor."""

    def __init__(
        self,
        vendor: SpeechToSpeech,
        *,
        hears: Rung[Recognizer],
        thinks: Rung[LanguageModel],
        below: LadderRecognizer,
        alone: bool,
        hedged: bool = True,
        opinions: Opinions = "taken",
    ) -> None:
        """`hears` and `thinks` are the vendor's rungs in all calls, `below` hears beneath; `alone`: no model does.

        `hedged` and `opinions` are for what it hears; replies are not hedged.
        """
        self._hedged = hedged
        self._opinions: Opinions = opinions
        self._vendor = vendor
        self._hears = hears
        self._thinks = thinks
        self._below = below
        self._alone = alone

    async def warm_up(self) -> None:
        """Prove that sessions can be had. If not, calls begin without them, and try again later.

        Raises `ProviderError` when no model is below and to try again cannot help.
        """
        error = await warm(Rung("model", self._thinks.name, self._vendor, BELOW, breaker=self._thinks.breaker))
        if error is None:
            return
        if self._alone and not error.retryable:
            raise error
        self._hears.failed(error, at_once=True)

    def for_call(self, model: LanguageModel | None) -> Stages:
        """The stages of one call; `model` thinks when the vendor does not, None for nobody."""
        own = self._vendor.for_call(self._below)
        rungs = [self._thinks.of_call(own.model)]
        if model is not None:
            rungs.append(Rung("model", "fallbacks", model, BELOW))
        # Not hedged: a session gives one reply at a time.
        thinks = LadderModel(rungs, hedged=False)
        hears = LadderRecognizer(
            [self._hears.of_call(own.recognizer), *self._below.rungs], hedged=self._hedged, opinions=self._opinions
        )
        return Stages(hears, thinks, own.own_voice)

    async def aclose(self) -> None:
        """Close the vendor's connections. Idempotent."""
        await self._vendor.aclose()
