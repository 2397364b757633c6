"""Who speaks a segment: the model itself, where the words are its own, and the synthesizer everything else.

A sentence that the model's voice does not finish is finished by the synthesizer, from the clause after those that
even the slowest voice has finished by then. The voice changes; the sentence does not break off, and no word is lost.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from talkspurt.core.spoken_form import SpokenForm
from talkspurt.errors import ProviderError
from talkspurt.ports import LINE_RATE_HZ, OwnVoice, SpeechChunk, Synthesizer
from talkspurt.speech.fitting import clauses_within
from talkspurt.telemetry import metrics


async def speech_of(
    form: SpokenForm,
    *,
    own: OwnVoice | None,
    reply: int | None,
    synthesizer: Synthesizer,
    voice: str,
    locale: str,
    pace: float,
) -> AsyncGenerator[SpeechChunk, None]:
    """Stream the speech of a segment; none when nothing is said. `reply` is the reply whose words it is, None for ours.

    Raises `ProviderError` when the synthesizer does.
    """
    if not form.words:
        return
    rest = form.text
    by_itself = own.speech(reply, form.written) if own is not None and reply is not None else None
    if by_itself is not None:
        seconds = 0.0
        try:
            async with aclosing(by_itself):
                async for chunk in by_itself:
                    seconds += len(chunk.pcm) / 2 / LINE_RATE_HZ
                    yield chunk
            return
        except ProviderError:
            metrics.ANOMALIES.labels("own_voice_broke_off").inc()
            rest = " ".join(form.words[clauses_within(form.words, seconds, pace=pace) :])
    async with aclosing(synthesizer.synthesize(rest, voice=voice, locale=locale, pace=pace)) as speech:
        async for chunk in speech:
            # Times of the rest's words would count for the first ones, which have none.
            yield chunk if by_itself is None else SpeechChunk(chunk.pcm)
