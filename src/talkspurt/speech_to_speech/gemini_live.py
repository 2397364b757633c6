"""Google's Gemini Live through its official SDK: `model = "gemini-live:gemini-3.1-flash-live-preview"`.

A session of this vendor cannot be made to forget: nothing in it is truncated or deleted, and whoever is heard in it is
answered. So a session lives for one turn of the agent, with its rounds of tools: it is told our history in words, then
hears the caller's last utterance and answers it. What was heard, guessed wrongly or cut off is so always as our history
has it, and a reply that is not wanted ends with its session. What the caller says is written down by the recognizer
below (`ear.py`), because the vendor transcribes only what it also answers.

Invariants:
* nothing is kept between two turns but the next session, which is begun, without any history, when the caller begins to
  speak;
* text is passed on as it comes, tool calls with the message that asks for them, behind which the vendor waits;
* whatever the ladder cancels ends its session.

Source: ai.google.dev, "Live API", "Live API capabilities", and the SDK's types.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import soxr
from google import genai
from google.genai import types
from google.genai.errors import APIError
from google.genai.live import AsyncSession
from websockets.exceptions import InvalidStatus, WebSocketException

from talkspurt.config import Config
from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.models.messages import CALL_BEGINS, CALLER_SILENT, CUT_OFF, GO_ON
from talkspurt.models.vendors import perhaps_no_such_model, read_address, read_key, split_name
from talkspurt.ports import (
    LINE_RATE_HZ,
    Recognizer,
    ReplyPart,
    ReplyRequest,
    Stages,
    TextDelta,
    ToolCallPart,
    ToolSpec,
    Usage,
)
from talkspurt.speech.failures import seconds_to_wait
from talkspurt.speech_to_speech.call import Message, Spoken, too_long
from talkspurt.speech_to_speech.ear import Ear, HearingAlong
from talkspurt.speech_to_speech.letters import letters
from talkspurt.telemetry.metrics import ANOMALIES
from talkspurt.telemetry.usage import MeteredModel

VENDOR: Final = "gemini-live"
CONNECT_S: Final = 3.0
CLOSE_S: Final = 1.0
STALL_S: Final = 8.0
"""Patience between two messages; sound that stalls is found sooner, by who waits for it."""
SOUND: Final = 12
"""Tokens of sound for one of text: 25 a second, by the vendor's documentation, for some 2.5 words."""
ANSWERED: Final = "(The tools have answered.)"
"""Stands for the caller when it is the agent's turn again behind tools of an earlier session."""

_PIECE_BYTES: Final = LINE_RATE_HZ
"""Half a second of audio a message: it is all there already."""
_FAULTS: Final[Mapping[int, tuple[ProviderFault, bool]]] = {
    400: ("rejected", False),
    401: ("key_rejected", False),
    403: ("key_rejected", False),
    404: ("unknown_model", False),
    408: ("timeout", True),
    429: ("rate_limited", True),
    # Closing codes of the WebSocket. 1007: what the setup asks for is invalid. 1008 is what many sessions are reported
    # to end with by no fault of theirs, "Requested entity was not found" behind a tool's answer among them.
    1007: ("rejected", False),
    1008: ("unavailable", True),
    1011: ("unavailable", True),
}
_OF_THE_KEY: Final = re.compile("api key (?:not|expired)", re.IGNORECASE)
"""How the vendor's reason for closing begins when the key is not valid: the code, 1007, is that of any setup."""
_OF_THE_SETUP: Final = frozenset({400, 404, 1007})
"""Those by which a session is refused whose model is not known."""


class GeminiLive:
    """A `SpeechToSpeech` at Google."""

    transcribes: Final = False

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        voice: str = "",
        max_tokens: int = 300,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`name` is `gemini-live:<model>`; `voice` one of the vendor's names, "" for its default.

        `max_tokens` are of text, as for other models. The key is looked up in `environment` (default: the process's).
        `base_url` is an `https://` address. Raises `ConfigurationError`.
        """
        vendor, model = split_name(name)
        known = os.environ if environment is None else environment
        key, address = read_key(name, vendor, known), read_address(name, vendor, base_url, known)
        self.name = name
        self.model = model
        self._voice = voice
        self.max_tokens = max_tokens
        options = types.HttpOptions(base_url=address) if address else None
        self._client = genai.Client(api_key=key, vertexai=False, http_options=options)

    @classmethod
    def from_config(cls, config: Config) -> Self:
        """The model that `config.model` names."""
        model = config.model
        return cls(model.name, base_url=model.address(VENDOR), voice=model.voice, max_tokens=model.max_tokens)

    async def warm_up(self) -> None:
        """Begin a session and end it: it proves key, model and voice. Sessions cannot be kept for later calls."""
        session = await self.begin(_Standing("", ()))
        await session.close()

    def for_call(self, recognizer: Recognizer | None = None, /) -> Stages:
        """The stages of one call; `recognizer` writes down what the caller says."""
        call = _Call(self)
        hearing = HearingAlong(recognizer, call.ear, began=call.prepare, closed=call.aclose)
        return Stages(hearing, MeteredModel(call, self.name), call.spoken)

    async def aclose(self) -> None:
        """Release everything. Idempotent."""
        await self._client.aio.aclose()

    async def begin(self, standing: "_Standing") -> "_Session":
        """Begin a session with these instructions and tools, and no history yet. Raises `ProviderError`."""
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout(CONNECT_S):
                connecting = self._client.aio.live.connect(model=self.model, config=self._setup(standing))
                return _Session(await stack.enter_async_context(connecting), stack, standing)
        except Exception as error:
            raise _provider_error(self.model, error) from None

    def _setup(self, standing: "_Standing") -> types.LiveConnectConfig:
        speech = types.SpeechConfig(
            voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name=self._voice))
        )
        functions = [
            types.FunctionDeclaration(
                name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters)
            )
            for tool in standing.tools
        ]
        return types.LiveConnectConfig(
            response_modalities=[types.Modality.AUDIO],
            max_output_tokens=SOUND * self.max_tokens,
            speech_config=speech if self._voice else None,
            system_instruction=standing.instructions or None,
            tools=[types.Tool(function_declarations=functions)] if functions else None,
            output_audio_transcription=types.AudioTranscriptionConfig(),
            realtime_input_config=types.RealtimeInputConfig(
                automatic_activity_detection=types.AutomaticActivityDetection(disabled=True)
            ),
            history_config=types.HistoryConfig(initial_history_in_client_content=True),
        )


@dataclass(frozen=True, slots=True)
class _Standing:
    """What is the same in all turns of a call."""

    instructions: str
    tools: tuple[ToolSpec, ...]


@dataclass(eq=False, slots=True)
class _Session:
    """One turn at the vendor."""

    session: AsyncSession
    stack: AsyncExitStack
    standing: _Standing
    turns: int = 0
    """The caller's turns that it knows of."""
    said: str = ""
    """The letters of what the model has said in it."""
    waiting: list[ToolCallPart] = field(default_factory=list)
    """Calls that the vendor waits for."""

    async def close(self) -> None:
        """End it, in a bounded time. Idempotent."""
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await self.stack.aclose()

    def goes_on(self, request: ReplyRequest) -> bool:
        """Whether the request is the next round of this turn: what was said was heard, and the tools have answered."""
        behind = list(request.history)
        while behind and not isinstance(behind[-1], CallerSaid):
            behind.pop()
        since = request.history[len(behind) :]
        answers = [entry.tool_call for entry in since if isinstance(entry, ToolAnswered)]
        said = letters(" ".join(entry.text for entry in since if isinstance(entry, AgentSaid)))
        return (
            self.standing == _standing(request)
            and bool(self.waiting)
            and {call.tool_call for call in self.waiting} <= set(answers)
            and said == self.said
            and self.turns == _turns(request.history)
        )


class _Call:
    """A call at the vendor: a `LanguageModel` that hears the caller's last utterance."""

    def __init__(self, vendor: GeminiLive) -> None:
        self._vendor = vendor
        self.ear = Ear()
        self.spoken = Spoken(VENDOR)
        self._standing: _Standing | None = None
        self._next: asyncio.Task[_Session] | None = None
        """The session of the next turn, which has begun."""
        self._turn: _Session | None = None
        """The session of a turn that waits for its tools."""
        self._left = False
        """Nobody listens any more, so nobody would end what is left waiting."""

    async def warm_up(self) -> None:
        """The vendor was warmed for all calls."""

    def prepare(self) -> None:
        """The caller begins to speak: have a session when they have finished."""
        self._left = False
        if self._next is None and self._standing is not None:
            self._next = asyncio.get_running_loop().create_task(
                self._vendor.begin(self._standing), name="gemini live session"
            )

    async def reply(self, request: ReplyRequest, /) -> AsyncGenerator[ReplyPart, None]:
        """Stream one reply; its sound goes to the call's `Spoken`. Raises `ProviderError`."""
        self._standing = _standing(request)
        turn, self._turn = self._turn, None
        if turn is not None and not turn.goes_on(request):
            await turn.close()
            turn = None
        try:
            try:
                if turn is None:
                    turn = await self._session()
                    await self._tell(turn, request)
                else:
                    await turn.session.send_tool_response(function_responses=_responses(turn.waiting, request.history))
                    turn.waiting = []
                async with aclosing(self._stream(turn, self.spoken.begin(request.reply))) as parts:
                    async for part in parts:
                        yield part
            except (APIError, WebSocketException, OSError, TimeoutError, ValueError) as error:
                raise _provider_error(self._vendor.model, error) from None
            if turn.waiting and not self._left:
                self._turn, turn = turn, None
        finally:
            if turn is not None:
                await turn.close()

    async def aclose(self) -> None:
        """End what has been begun, and leave nothing waiting until the caller speaks again. Idempotent."""
        self._left = True
        turn, self._turn = self._turn, None
        if turn is not None:
            await turn.close()
        following, self._next = self._next, None
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, ProviderError):
                await (await following).close()

    async def _session(self) -> _Session:
        """The session that was begun when the caller began to speak, or a new one."""
        assert self._standing is not None
        following, self._next = self._next, None
        if following is not None:
            session = await following
            if session.standing == self._standing:
                return session
            await session.close()
        return await self._vendor.begin(self._standing)

    async def _tell(self, turn: _Session, request: ReplyRequest) -> None:
        """Tell the session what was said and done, and let it hear the caller's last words."""
        history: Sequence[Entry] = request.history
        last = history[-1] if history else None
        voice = self.ear.voice_of(last.text) if isinstance(last, CallerSaid) and last.source == "voice" else None
        words = ANSWERED if isinstance(last, ToolAnswered) else CALLER_SILENT if history else CALL_BEGINS
        if request.continues:
            words = GO_ON
        if isinstance(last, CallerSaid):
            words, history = _words(last), history[:-1]
        turn.turns = _turns(history) + isinstance(last, CallerSaid)
        session = turn.session
        await session.send_client_content(turns=[*_contents(history)], turn_complete=True)
        await session.send_realtime_input(activity_start=types.ActivityStart())
        if voice is None:
            await session.send_realtime_input(text=words)
        else:
            for start in range(0, len(voice), _PIECE_BYTES):
                blob = types.Blob(data=voice[start : start + _PIECE_BYTES], mime_type=f"audio/pcm;rate={LINE_RATE_HZ}")
                await session.send_realtime_input(audio=blob)
        await session.send_realtime_input(activity_end=types.ActivityEnd())

    async def _stream(self, turn: _Session, message: Message) -> AsyncGenerator[ReplyPart, None]:
        usage, sound, endless = Usage(), _Downsampler(), False
        try:
            messages = aiter(turn.session.receive())
            while True:
                async with asyncio.timeout(STALL_S):
                    news = await anext(messages, None)
                if news is None:
                    break
                usage = _used(news.usage_metadata) or usage
                content = news.server_content
                for pcm in _sounds(content):
                    message.add_sound(sound.take(pcm))
                text = content.output_transcription.text if content and content.output_transcription else None
                if text:
                    message.add_text(text)
                    turn.said += letters(text)
                    yield TextDelta(text)
                endless = too_long([message], self._vendor.max_tokens)
                if endless:
                    # It was told to stop long before; its session ends with it.
                    break
                if content and content.interrupted:
                    raise _error("the reply broke off", "broken_off", retryable=True)
                if news.tool_call:
                    turn.waiting = [_call(call) for call in news.tool_call.function_calls or ()]
                    break
            message.add_sound(sound.rest())
            message.end(broken=endless)
        finally:
            message.end(broken=True)
        if not turn.said and not turn.waiting:
            raise _error("the reply was empty", "empty", retryable=True)
        for call in turn.waiting:
            yield call
        yield usage


class _Downsampler:
    """The vendor's sound at the line's rate."""

    def __init__(self) -> None:
        self._rate = 0
        self._stream: Any = None

    def take(self, blob: types.Blob) -> bytes:
        """The next piece, as far as it is ready."""
        rate = int((blob.mime_type or "").partition("rate=")[2] or 24_000)
        if self._stream is None or rate != self._rate:
            self._rate = rate
            self._stream = soxr.ResampleStream(rate, LINE_RATE_HZ, 1, dtype="int16", quality="HQ")
        data = blob.data or b""
        return self._resampled(np.frombuffer(data[: len(data) & ~1], "<i2"), last=False)

    def rest(self) -> bytes:
        """What is still on its way."""
        return b"" if self._stream is None else self._resampled(np.zeros(0, "<i2"), last=True)

    def _resampled(self, samples: Any, *, last: bool) -> bytes:
        return bytes(self._stream.resample_chunk(samples, last=last).astype("<i2").tobytes())


def _sounds(content: types.LiveServerContent | None) -> Iterable[types.Blob]:
    turn = content.model_turn if content else None
    for part in (turn.parts or ()) if turn else ():
        if part.inline_data is not None and part.inline_data.data:
            yield part.inline_data


def _standing(request: ReplyRequest) -> _Standing:
    instructions = "\n\n".join(text for text in (request.instructions, request.caller_facts) if text.strip())
    return _Standing(instructions, request.tools)


def _turns(history: Iterable[Entry]) -> int:
    return sum(isinstance(entry, CallerSaid) for entry in history)


def _words(entry: CallerSaid) -> str:
    return f"(on the keypad) {entry.text}" if entry.source == "keypad" else entry.text


def _contents(history: Iterable[Entry]) -> Iterable[types.Content]:
    """History in words: calls of tools belong to their session, so that of earlier ones is only told."""
    asked: dict[str, ToolCalled] = {}
    yield _content("user", CALL_BEGINS)
    for entry in history:
        match entry:
            case CallerSaid(text) if text.strip():
                yield _content("user", _words(entry))
            case AgentSaid(text, interrupted) if text.strip():
                yield _content("model", text + CUT_OFF if interrupted else text)
            case ToolCalled():
                asked[entry.tool_call] = entry
            case ToolAnswered(tool_call, name, content):
                arguments = asked[tool_call].arguments if tool_call in asked else "{}"
                yield _content("user", f"(The tool {name}, called with {arguments}, answered: {content})")


def _content(role: str, text: str) -> types.Content:
    return types.Content(role=role, parts=[types.Part(text=text)])


def _responses(waiting: Iterable[ToolCallPart], history: Iterable[Entry]) -> list[types.FunctionResponse]:
    answers = {entry.tool_call: entry.content for entry in history if isinstance(entry, ToolAnswered)}
    return [
        types.FunctionResponse(id=call.tool_call, name=call.name, response=_object(answers[call.tool_call]))
        for call in waiting
    ]


def _object(content: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError:
        value = content
    return value if isinstance(value, dict) else {"output": value}


def _call(call: types.FunctionCall) -> ToolCallPart:
    return ToolCallPart(str(call.id), str(call.name), json.dumps(call.args or {}))


def _used(usage: types.UsageMetadata | None) -> Usage | None:
    if usage is None:
        return None
    return Usage(
        input_tokens=usage.prompt_token_count or 0,
        output_tokens=usage.response_token_count or 0,
        cached_tokens=usage.cached_content_token_count or 0,
        audio_input_tokens=_of_sound(usage.prompt_tokens_details),
        audio_output_tokens=_of_sound(usage.response_tokens_details),
        audio_cached_tokens=_of_sound(usage.cache_tokens_details),
    )


def _of_sound(details: Sequence[types.ModalityTokenCount] | None) -> int:
    return sum(each.token_count or 0 for each in details or () if each.modality == types.MediaModality.AUDIO)


def _provider_error(model: str, error: Exception) -> ProviderError:
    """What a failure means. It carries none of the vendor's words, which may quote the key or the caller."""
    if isinstance(error, ProviderError):
        return error
    code = error.response.status_code if isinstance(error, InvalidStatus) else getattr(error, "code", None)
    if isinstance(code, int) and isinstance(error, InvalidStatus | APIError):
        if isinstance(error, APIError) and _OF_THE_KEY.match(str(error.details)):
            return _error(f"status {code}: the key is not accepted", "key_rejected", retryable=False)
        fault, retryable = _FAULTS.get(code, ("unavailable", True))
        advice = f"{perhaps_no_such_model(VENDOR, model, ())}, or no such model.voice" if code in _OF_THE_SETUP else ""
        wait = seconds_to_wait(error.response.headers) if isinstance(error, InvalidStatus) else None
        return _error(f"status {code}{advice}", fault, retryable=retryable, retry_after=wait)
    if isinstance(error, TimeoutError):
        return _error("nothing came in time", "timeout", retryable=True)
    if isinstance(error, OSError | WebSocketException):
        return _error("the connection failed", "unreachable", retryable=True)
    if isinstance(error, ValueError):
        ANOMALIES.labels("vendor_unreadable").inc()
        return _error("sent what cannot be read", "unreadable", retryable=True)
    return _error(f"failed ({type(error).__name__})", "failed", retryable=True)


def _error(message: str, fault: ProviderFault, *, retryable: bool, retry_after: float | None = None) -> ProviderError:
    rejected = fault == "key_rejected"
    return ProviderError(
        "model", VENDOR, message, retryable=retryable, retry_after=retry_after, rejected=rejected, fault=fault
    )
