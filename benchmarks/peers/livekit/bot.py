"""A LiveKit Agents 1.8 bot for Twilio media streams, with scripted providers; all calls in one process.

Without LiveKit's server: an `AgentSession` per socket, whose `input.audio` and `output.audio` are the two ends of the
socket. Run by its own environment, from the repository's root: `build/peers/livekit/bin/python -m
benchmarks.peers.livekit.bot --port 8100`. Prints one line of JSON when it accepts sockets on 127.0.0.1:<port>/media,
and ends on SIGTERM. What was chosen, and why: README.md beside this package.

Ideal latency, from the true end of speech to the first audio, of both strategies for the end of a turn. The model is
asked when the final transcript comes, since preemptive generation is on by default, and speech is synthesized once the
turn has ended and a sentence is there:

* `timeout`, `turn_detection="vad"`: the turn ends 0.5 s after speech, LiveKit's default `min_delay`:
  max(0.5, 0.3 + 0.15 + 8 x 0.01) + 0.08 = 0.61 s.
* `default`, LiveKit's audio turn detector, which runs in the process: a turn that it judges complete ends 0.3 s after
  speech: max(0.3, 0.3 + 0.15 + 8 x 0.01) + 0.08 = 0.61 s. (One that it judges incomplete ends after 2.5 s.)
"""

import argparse
import asyncio
import audioop
import base64
import json
import logging
import os
import signal
import time
from typing import Any, Final

import uvloop
from aiohttp import WSMsgType, web
from benchmarks.capacity.probe import probe
from benchmarks.peers import scripted
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    Agent,
    AgentSession,
    APIConnectOptions,
    TurnHandlingOptions,
    inference,
    llm,
    stt,
    tts,
    utils,
)
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from livekit.local_inference import init_eot, init_vad

STRATEGIES: Final = ("timeout", "default")
INPUT_SAMPLES: Final = scripted.SAMPLE_RATE_HZ // 25
"""40 ms."""
SHUTDOWN_SECONDS: Final = 2.0


class ScriptedRecognizer(stt.STT):
    """A streaming recognizer."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS, **_: Any) -> stt.RecognizeStream:
        """One call's stream."""
        return _Recognition(stt=self, conn_options=conn_options)

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError("it streams")


class _Recognition(stt.RecognizeStream):
    async def _run(self) -> None:
        ears = scripted.Ears()
        loop = asyncio.get_running_loop()
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            if (final := ears.hear(bytes(frame.data), loop.time())) is not None:
                loop.call_at(final[0], self._deliver, final[1])

    def _deliver(self, text: str) -> None:
        if not self._event_ch.closed:
            heard = stt.SpeechData(language="en", text=text, confidence=1.0)
            self._event_ch.send_nowait(stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard]))


class ScriptedModel(llm.LLM):
    """Streams the same reply to every request."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Asks for a reply."""
        return _Reply(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Reply(llm.LLMStream):
    async def _run(self) -> None:
        name = utils.shortuuid("reply_")
        async for token in scripted.tokens():
            delta = llm.ChoiceDelta(role="assistant", content=token)
            self._event_ch.send_nowait(llm.ChatChunk(id=name, delta=delta))


class ScriptedSynthesizer(tts.TTS):
    """Streams tones, a sentence at a time: LiveKit itself splits the reply for a synthesizer that takes whole texts."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=scripted.SAMPLE_RATE_HZ,
            num_channels=1,
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Speaks one sentence."""
        return _Speech(tts=self, input_text=text, conn_options=conn_options)


class _Speech(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid("speech_"),
            sample_rate=scripted.SAMPLE_RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
        )
        async for pcm in scripted.audio(self.input_text):
            output_emitter.push(pcm)


class FromCaller(AudioInput):
    """What the caller says, handed on two frames of the line at a time: LiveKit's own room input hands on 50 ms."""

    def __init__(self) -> None:
        super().__init__(label="media stream")
        self._frames: utils.aio.Chan[rtc.AudioFrame] = utils.aio.Chan()
        self._pcm = bytearray()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.__anext__()

    def hear(self, payload: str) -> None:
        """Takes the payload of one `media` message."""
        self._pcm += audioop.ulaw2lin(base64.b64decode(payload), 2)
        if len(self._pcm) < INPUT_SAMPLES * 2:
            return
        pcm, self._pcm = bytes(self._pcm), bytearray()
        self._frames.send_nowait(
            rtc.AudioFrame(
                data=pcm,
                sample_rate=scripted.SAMPLE_RATE_HZ,
                num_channels=1,
                samples_per_channel=len(pcm) // 2,
            )
        )

    def end(self) -> None:
        """The caller has hung up."""
        self._frames.close()


class ToCaller(AudioOutput):
    """What the caller hears. Audio is sent as soon as it is there: the far end queues it, as Twilio does.

    A mark behind a reply tells when it was heard to its end.
    """

    def __init__(self, socket: web.WebSocketResponse, stream_sid: str) -> None:
        super().__init__(
            label="media stream",
            capabilities=AudioOutputCapabilities(pause=False),
            sample_rate=scripted.SAMPLE_RATE_HZ,
        )
        self._socket = socket
        self._stream_sid = stream_sid
        self._messages: utils.aio.Chan[str] = utils.aio.Chan()
        self._reply = 0
        self._sent = 0.0
        self._started_at = 0.0

    async def write(self) -> None:
        """Sends what is queued, until `end`."""
        async for message in self._messages:
            await self._socket.send_str(message)

    def end(self) -> None:
        """Nothing more will be sent."""
        self._messages.close()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Sends a piece of a reply."""
        await super().capture_frame(frame)
        if not self._sent:
            self._started_at = time.time()
            self.on_playback_started(created_at=self._started_at)
        self._sent += frame.duration
        payload = base64.b64encode(audioop.lin2ulaw(bytes(frame.data), 2)).decode()
        self._send({"event": "media", "streamSid": self._stream_sid, "media": {"payload": payload}})

    def flush(self) -> None:
        """Marks the end of a reply."""
        super().flush()
        if self._sent:
            self._send({"event": "mark", "streamSid": self._stream_sid, "mark": {"name": str(self._reply)}})

    def clear_buffer(self) -> None:
        """Drops what the caller has not heard yet of the reply that is being played."""
        if not self._sent:
            return
        while not self._messages.empty():
            self._messages.recv_nowait()
        self._send({"event": "clear", "streamSid": self._stream_sid})
        self._finish(min(self._sent, time.time() - self._started_at), interrupted=True)

    def heard(self, mark: str) -> None:
        """Takes the name of a returned mark; those of replies that were cleared mean nothing."""
        if self._sent and mark == str(self._reply):
            self._finish(self._sent, interrupted=False)

    def _finish(self, position: float, *, interrupted: bool) -> None:
        self._reply += 1
        self._sent = 0.0
        self.on_playback_finished(playback_position=position, interrupted=interrupted)

    def _send(self, message: dict[str, object]) -> None:
        if not self._messages.closed:
            self._messages.send_nowait(json.dumps(message))


class Bot:
    """Answers calls. Voice activity detection and providers are shared by all of them, as far as LiveKit allows."""

    def __init__(self, strategy: str) -> None:
        self._strategy = strategy
        init_vad()
        if strategy == "default":
            init_eot()
        self._voice = inference.VAD(model="silero")
        self._recognizer = ScriptedRecognizer()
        self._model = ScriptedModel()
        self._synthesizer = ScriptedSynthesizer()

    async def answer(self, request: web.Request) -> web.WebSocketResponse:
        """One call, until its caller hangs up."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        stream_sid = await _stream_sid(socket)
        if stream_sid is None:
            return socket
        incoming, outgoing = FromCaller(), ToCaller(socket, stream_sid)
        session = self._session()
        session.input.audio = incoming
        session.output.audio = outgoing
        writing = asyncio.create_task(outgoing.write())
        try:
            await session.start(agent=Agent(instructions="You answer a company's phone."), record=False)
            await _listen(socket, incoming, outgoing)
        finally:
            incoming.end()
            outgoing.end()
            await session.aclose()
            await utils.aio.cancel_and_wait(writing)
        return socket

    def _session(self) -> AgentSession:
        turns = TurnHandlingOptions(interruption={"mode": "vad", "resume_false_interruption": False})
        if self._strategy == "timeout":
            turns["turn_detection"] = "vad"
        return AgentSession(
            stt=self._recognizer,
            vad=self._voice,
            llm=self._model,
            tts=self._synthesizer,
            turn_handling=turns,
            aec_warmup_duration=None,  # a telephone has no loudspeaker near the microphone that LiveKit could know
        )


async def _stream_sid(socket: web.WebSocketResponse) -> str | None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            event = json.loads(message.data)
            if event["event"] == "start":
                return str(event["streamSid"])
    return None


async def _listen(socket: web.WebSocketResponse, incoming: FromCaller, outgoing: ToCaller) -> None:
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        if event["event"] == "media":
            incoming.hear(event["media"]["payload"])
        elif event["event"] == "mark":
            outgoing.heard(event["mark"]["name"])
        elif event["event"] == "stop":
            return


async def serve(port: int, strategy: str) -> None:
    """Answers calls until SIGTERM."""
    bot = Bot(strategy)
    app = web.Application()
    app.router.add_get("/media", bot.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
    async with probe():
        await ended.wait()
    await runner.cleanup()


def main() -> None:
    """Reads the command line and serves."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--strategy", choices=STRATEGIES, default="timeout", help="for the end of a caller's turn")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    uvloop.run(serve(options.port, options.strategy))


if __name__ == "__main__":
    main()
