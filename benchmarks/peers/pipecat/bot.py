"""A Pipecat 1.14 bot for Twilio media streams, with scripted providers; all calls in one process.

Run by its own environment, from the repository's root: `build/peers/pipecat/bin/python -m benchmarks.peers.pipecat.bot
--port 8100 --strategy default`. Prints one line of JSON when it accepts sockets on 127.0.0.1:<port>/media, and ends on
SIGTERM. What was chosen, and why: README.md beside this package.

The pipeline is the one of Pipecat's own example of an inbound Twilio call. Ideal latency, from the true end of speech
to the first audio, of two of its strategies for the end of a turn:

* `default`, its default, smart-turn asked when Silero has seen 0.2 s of silence; a turn that it judges complete waits
  for nothing but the final transcript: 0.3 + 0.15 + 8 x 0.01 + 0.08 = 0.61 s. (A turn that it judges incomplete waits
  until there were 3 s of silence. That is policy too, but not ideal.)
* `timeout`, `SpeechTimeoutUserTurnStopStrategy`: 0.6 s after Silero's 0.2 s of silence:
  0.2 + 0.6 + 0.15 + 8 x 0.01 + 0.08 = 1.11 s.
"""

import argparse
import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import fields
from typing import Final

import uvicorn
import uvloop
from benchmarks.capacity.probe import probe
from benchmarks.peers import scripted
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.llm_service import LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import BaseTransport
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

STRATEGIES: Final = ("default", "timeout")
USER_SPEECH_TIMEOUT: Final = 0.6
"""Seconds; the default of Pipecat's strategy."""
SHUTDOWN_SECONDS: Final = 2


class ScriptedRecognizer(STTService):
    """A streaming recognizer that confirms its finals as Deepgram's does: Pipecat then waits for nothing more."""

    def __init__(self) -> None:
        super().__init__(
            ttfs_p99_latency=scripted.FINAL_AFTER,
            settings=STTSettings(model=None, language=None),
        )
        self._ears = scripted.Ears()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Hears one frame."""
        now = time.monotonic()
        if (final := self._ears.hear(audio, now)) is not None:
            due, text = final
            self.create_task(self._deliver(due - now, text), "final transcript")
        yield None

    async def _deliver(self, wait: float, text: str) -> None:
        await asyncio.sleep(wait)
        await self.push_frame(TranscriptionFrame(text, self._user_id, time_now_iso8601(), finalized=True))


class ScriptedModel(LLMService):
    """Streams the same reply to every request."""

    def __init__(self) -> None:
        # All settings are those of real models. None says that this one has no such thing.
        names = (each.name for each in fields(LLMSettings) if each.name != "extra")
        super().__init__(settings=LLMSettings(**dict.fromkeys(names)))

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Answers a context; passes on everything else."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        try:
            await self.push_frame(LLMFullResponseStartFrame())
            async for token in scripted.tokens():
                await self._push_llm_text(token)
        finally:
            await self.push_frame(LLMFullResponseEndFrame())


class ScriptedSynthesizer(TTSService):
    """Streams tones, a sentence at a time, as Pipecat's services that synthesize over HTTP do."""

    def __init__(self) -> None:
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model=None, voice=None, language=None),
        )

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        """Speaks one sentence."""
        async for pcm in scripted.audio(text):
            yield TTSAudioRawFrame(pcm, scripted.SAMPLE_RATE_HZ, 1, context_id=context_id)


def turn_strategies(strategy: str) -> UserTurnStrategies:
    """The strategies of a call. Interruptions are on in both, by the default strategies for a turn's start."""
    if strategy == "default":
        return UserTurnStrategies()
    return UserTurnStrategies(stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=USER_SPEECH_TIMEOUT)])


async def answer(websocket: WebSocket, strategy: str) -> None:
    """One call, until its caller hangs up."""
    await websocket.accept()
    _, call = await parse_telephony_websocket(websocket)
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=TwilioFrameSerializer(
                stream_sid=call["stream_id"],
                call_sid=call["call_id"],
                params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
            ),
        ),
    )
    await converse(transport, strategy)


async def converse(transport: BaseTransport, strategy: str) -> None:
    """Runs the pipeline of one call."""
    user, assistant = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(),
            user_turn_strategies=turn_strategies(strategy),
        ),
    )
    pipeline = Pipeline(
        [
            transport.input(),
            ScriptedRecognizer(),
            user,
            ScriptedModel(),
            ScriptedSynthesizer(),
            transport.output(),
            assistant,
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(
            audio_in_sample_rate=scripted.SAMPLE_RATE_HZ,
            audio_out_sample_rate=scripted.SAMPLE_RATE_HZ,
        ),
        # For clients that speak Pipecat's own protocol and for traces: a telephone has neither.
        enable_rtvi=False,
        enable_turn_tracking=False,
    )

    @transport.event_handler("on_client_disconnected")
    async def hang_up(_transport: BaseTransport, _client: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def warm_up() -> None:
    """Loads once what calls load again, so that the first call pays no import and no compilation that others do not."""
    voice = SileroVADAnalyzer(sample_rate=scripted.SAMPLE_RATE_HZ)
    voice.set_sample_rate(scripted.SAMPLE_RATE_HZ)
    second = bytes(scripted.BYTES_PER_SECOND)
    await voice.analyze_audio(second)
    await voice.cleanup()
    turn = LocalSmartTurnAnalyzerV3(sample_rate=scripted.SAMPLE_RATE_HZ)
    turn.set_sample_rate(scripted.SAMPLE_RATE_HZ)
    turn.append_audio(second, is_speech=True)
    await turn.analyze_end_of_turn()
    await turn.cleanup()


class Server(uvicorn.Server):
    """Says when it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and prints the line that says so."""
        await super().startup(sockets)
        print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)


async def serve(port: int, strategy: str) -> None:
    """Answers calls until SIGTERM."""
    app = FastAPI()

    @app.websocket("/media")
    async def media(websocket: WebSocket) -> None:
        await answer(websocket, strategy)

    await warm_up()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    async with probe():
        await Server(config).serve()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--strategy", choices=STRATEGIES, default="default", help="for the end of a caller's turn")
    options = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvloop.run(serve(options.port, options.strategy))


if __name__ == "__main__":
    main()
