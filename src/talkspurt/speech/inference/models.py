"""The local models of a process, each loaded when it is first needed, and once."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from talkspurt.speech.piper_voice import DEFAULT_VOICE, VOICES, Speech, Voice, load_voice
from talkspurt.speech.smart_turn import MODEL, Judge
from talkspurt.speech.smart_turn import WEIGHTS as JUDGE_WEIGHTS
from talkspurt.speech.weights import WeightStore
from talkspurt.speech.whisper_model import Transcriber

Model = TypeVar("Model")

_FIRST_WORDS: Final = "I am ready to speak."


class Loaded(Generic[Model]):
    """One model: not loaded yet, being loaded, or loaded."""

    def __init__(self, load: Callable[[], Model], model: Model | None = None) -> None:
        self._load = load
        self._model = model
        self._loading: asyncio.Task[Model] | None = None

    async def get(self) -> Model:
        """The model, loaded off the event loop if need be. Raises what loading it raises; the next one tries again."""
        if self._model is None:
            if self._loading is None:
                self._loading = asyncio.create_task(asyncio.to_thread(self._load), name="loading-models")
            try:
                # Whoever gives up does not end what others wait for.
                self._model = await asyncio.shield(self._loading)
            finally:
                if self._loading is not None and self._loading.done():
                    self._loading = None
        return self._model


class Models:
    """What local inference may need."""

    def __init__(
        self,
        store: WeightStore,
        *,
        threads: int = 1,
        at_once: int = 1,
        transcriber: Transcriber | None = None,
        voices: Mapping[str, Voice] | None = None,
        judge: Judge | None = None,
    ) -> None:
        """`threads` serve one piece, `at_once` pieces are done at once; models that are given are not loaded."""
        self.at_once = at_once
        self.transcriber = Loaded(lambda: Transcriber(store, threads=threads, workers=at_once), transcriber)
        self.judge = Loaded(lambda: Judge(store.path(JUDGE_WEIGHTS, MODEL)), judge)
        loaded = voices or {}
        self.voices = {
            name: Loaded(lambda weights=weights: load_voice(store, weights, threads), loaded.get(name))  # type: ignore[misc]
            for name, weights in VOICES.items()
        }

    async def first_run(self, kind: str) -> Callable[[], None]:
        """Load the models of a kind; returns what runs them for the first time, which is slower than later."""
        if kind == "transcript":
            return (await self.transcriber.get()).warm_up
        if kind == "judgement":
            return (await self.judge.get()).warm_up
        voice = await self.voices[DEFAULT_VOICE].get()

        def speak() -> None:
            speech = Speech(voice, _FIRST_WORDS)
            while not speech.complete:
                speech.step()

        return speak
