"""Real inference processes: what they say over the socket, and what becomes of pieces when one dies, hangs or lies."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest

from talkspurt.config import Config, InferenceConfig, SpeechConfig
from talkspurt.errors import ConfigurationError, ProviderError, WeightsError
from talkspurt.speech.inference import Ask, Purpose
from talkspurt.speech.inference.link import UNSENT, is_at_work
from talkspurt.speech.inference.messages import (
    ANSWERS,
    CREDIT,
    REQUESTS,
    Cancel,
    Ended,
    Failed,
    Judge,
    Judged,
    More,
    Ping,
    Pong,
    Spoken,
    Synthesize,
    Want,
    WarmUp,
    framed,
    read_message,
)
from talkspurt.speech.inference.remote import RemoteInference
from talkspurt.speech.inference.supervision import environment, inference_processes, local_kinds
from talkspurt.telemetry.metrics import INFERENCE_QUEUED, INFERENCE_REFUSED, INFERENCE_RUN

LONG = "It comes with the next delivery on Monday morning. " * 8
SECOND = bytes(16_000)


def ask(call: str = "a", patience: float = 30.0, *, ahead: bool = False) -> Ask:
    now = time.monotonic()
    return Ask(Purpose(call, ahead=ahead), now, now + patience)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    # Not pytest's: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="ts-") as folder:
        yield Path(folder)


JUDGING = Config(speech=SpeechConfig(recognizer="deepgram", synthesizer="elevenlabs"))
"""Needs the quickest model only."""


@asynccontextmanager
async def running(
    config: Config, run_dir: Path, *, silence: float = 20.0
) -> AsyncIterator[tuple[RemoteInference, Path]]:
    async with inference_processes(config, run_dir) as sockets:
        inference = RemoteInference(sockets, silence=silence)
        for kind in local_kinds(config):
            await inference.warm_up(kind)
        yield inference, sockets[0]
        await inference.aclose()


def pid_of(socket: Path) -> int:
    """The process that is started for a socket, which stands in its command line."""
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"inference.process" in command and str(socket).encode() in command:
            return int(process.name)
    raise AssertionError("there is none")


def is_alive(pid: int) -> bool:
    try:
        return b"inference" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other processes tell nobody
            await asyncio.sleep(0.01)


# ── what they say ─────────────────────────────────────────────────────────────────


async def test_the_socket_is_for_this_user_only(run_dir: Path) -> None:
    async with inference_processes(JUDGING, run_dir) as (socket,):
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700


async def test_none_are_run_when_no_model_is_local_or_none_are_wanted(run_dir: Path) -> None:
    cloud = SpeechConfig(recognizer="deepgram", synthesizer="elevenlabs", turn_detector="none")
    async with inference_processes(Config(speech=cloud), run_dir) as sockets:
        assert sockets == ()
    async with inference_processes(Config(inference=InferenceConfig(processes=0)), run_dir) as sockets:
        assert sockets == ()


async def test_a_path_that_is_too_long_says_what_to_do(run_dir: Path) -> None:
    with pytest.raises(ConfigurationError, match="shorter folder"):
        async with inference_processes(JUDGING, run_dir / ("x" * 100)):
            pass


def test_no_secret_is_passed_on_and_native_threads_are_pinned() -> None:
    given = {"PATH": "/bin", "PYTHONPATH": "src", "TWILIO_AUTH_TOKEN": "t", "OPENAI_API_KEY": "k", "DATABASE_URL": "u"}
    assert environment(given, 2) == {
        "PATH": "/bin",
        "PYTHONPATH": "src",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
    }


async def test_it_gives_way_and_does_not_end_by_signals_that_are_meant_for_all(run_dir: Path) -> None:
    async with running(JUDGING, run_dir) as (inference, socket):
        pid = pid_of(socket)
        assert os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        assert 0 <= await inference.judge(SECOND, ask()) <= 1
        assert pid_of(socket) == pid


async def test_missing_weights_say_what_to_run(run_dir: Path) -> None:
    config = Config(speech=SpeechConfig(recognizer="deepgram", synthesizer="elevenlabs", weights_dir=run_dir / "none"))
    with pytest.raises(WeightsError, match=r"run: talkspurt models pull smart-turn-v3\.2"):
        async with running(config, run_dir):
            pass


async def test_answers_tell_what_they_waited_and_took(run_dir: Path) -> None:
    def counted() -> list[float]:
        return [
            sample.value
            for metric in (INFERENCE_QUEUED, INFERENCE_RUN)
            for family in metric.collect()
            for sample in family.samples
            if sample.name.endswith("_count") and sample.labels["kind"] == "judgement"
        ]

    async with running(JUDGING, run_dir) as (inference, _):
        await inference.judge(SECOND, ask())
        before = counted()
        await inference.judge(SECOND, ask())
        assert counted() == [number + 1 for number in before]


@pytest.fixture
async def raw(inference_socket: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection to a process with all models."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_unix_connection(inference_socket)
    yield reader, writer
    writer.close()


async def test_of_speech_nobody_takes_only_so_much_is_sent(
    raw: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = raw
    now = time.monotonic()
    writer.write(framed(Synthesize(1, "a", now, now + 60, False, LONG, "joe", 1.0)))
    for _ in range(CREDIT):
        assert isinstance(await read_message(reader, ANSWERS), Spoken)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await read_message(reader, ANSWERS)
    writer.write(framed(More(1)))
    assert isinstance(await read_message(reader, ANSWERS), Spoken)
    writer.write(framed(Cancel(1)))
    # Cancelled pieces are not answered; the connection goes on.
    writer.write(framed(Ping()))
    assert isinstance(await read_message(reader, ANSWERS), Pong)


async def test_what_has_expired_is_refused_with_the_reason(
    raw: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    reader, writer = raw
    now = time.monotonic()
    writer.write(framed(Judge(1, "a", now - 5, now - 1, SECOND)))
    answer = await read_message(reader, ANSWERS)
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.retryable) == ("expired", True)


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 100, b"\x00\x00\x00\x03abc", (5).to_bytes(4, "big") + b"\x93\xa4Ping", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["too long", "no message", "cut", "http"],
)
async def test_garbage_ends_its_own_connection_only(inference_socket: Path, garbage: bytes) -> None:
    others = RemoteInference([inference_socket], silence=20)
    await others.warm_up("judgement")
    reader, writer = await asyncio.open_unix_connection(inference_socket)
    writer.write(garbage)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert 0 <= await others.judge(SECOND, ask()) <= 1
    await others.aclose()


async def test_a_caller_who_gives_up_leaves_the_rest_alone(inference_socket: Path) -> None:
    inference = RemoteInference([inference_socket], silence=20)
    await inference.warm_up("speech")
    async with aclosing(inference.synthesize(LONG, ask(), voice="joe", pace=1.0)) as speech:
        async for chunk in speech:
            assert chunk.pcm
            break
    asking = asyncio.create_task(inference.transcribe(SECOND, ask()))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert 0 <= await inference.judge(SECOND, ask()) <= 1
    await inference.aclose()


# ── what becomes of pieces ────────────────────────────────────────────────────────


async def test_pieces_of_a_process_that_is_killed_are_done_by_the_next(run_dir: Path) -> None:
    async with running(JUDGING, run_dir) as (inference, socket):
        before = pid_of(socket)
        asking = [asyncio.create_task(inference.judge(8 * SECOND, ask(str(number)))) for number in range(30)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        os.kill(before, signal.SIGKILL)
        scores = await asyncio.gather(*asking)
        assert all(0 <= score <= 1 for score in scores)
        assert pid_of(socket) != before


async def test_speech_that_was_heard_is_not_begun_again(run_dir: Path) -> None:
    config = Config(speech=SpeechConfig(recognizer="deepgram", turn_detector="none"))
    async with running(config, run_dir) as (inference, socket):
        speech = inference.synthesize(LONG, ask(), voice="joe", pace=1.0)
        assert (await anext(speech)).pcm
        os.kill(pid_of(socket), signal.SIGKILL)
        with pytest.raises(ProviderError, match="piper synthesizer: its process died") as lost:
            async for _ in speech:
                pass
        assert lost.value.retryable
        assert [chunk.pcm async for chunk in inference.synthesize("Hello.", ask(), voice="joe", pace=1.0)]


async def test_a_hung_process_keeps_nobody_waiting_and_is_replaced(run_dir: Path) -> None:
    async with running(JUDGING, run_dir, silence=1.2) as (inference, socket):
        hung = pid_of(socket)
        os.kill(hung, signal.SIGSTOP)
        began = time.monotonic()
        # By then the next one may have answered, or it is too late.
        answers = await asyncio.gather(
            *(inference.judge(SECOND, ask(patience=2.8)) for _ in range(3)), return_exceptions=True
        )
        assert time.monotonic() - began < 3.2
        for answer in answers:
            assert isinstance(answer, float) or (isinstance(answer, ProviderError) and answer.retryable)
        await inference.warm_up("judgement")
        assert 0 <= await inference.judge(SECOND, ask()) <= 1
        assert pid_of(socket) != hung


STARTER = """
import asyncio, sys
from pathlib import Path
from talkspurt.config import Config, SpeechConfig
from talkspurt.speech.inference.supervision import inference_processes

async def main():
    config = Config(speech=SpeechConfig(recognizer="deepgram", synthesizer="elevenlabs"))
    async with inference_processes(config, Path(sys.argv[1])):
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_process_that_is_held_up_by_its_work_is_not_taken_for_dead() -> None:
    program = "input(); [0 for _ in iter(int, 1)]"
    working = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=subprocess.PIPE)
    assert working.stdin is not None
    await until(lambda: not is_at_work(working.pid))
    working.stdin.write(b"\n")
    await until(lambda: is_at_work(working.pid))
    working.send_signal(signal.SIGSTOP)
    await until(lambda: not is_at_work(working.pid))
    working.kill()
    await working.wait()
    assert not is_at_work(working.pid)


async def test_they_outlive_whoever_started_them_until_the_last_worker_has_gone(run_dir: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(run_dir), stdout=subprocess.DEVNULL
    )
    socket = run_dir / "inference/0.sock"
    inference = RemoteInference([socket], silence=20)
    await inference.warm_up("judgement")
    process = pid_of(socket)
    starter.kill()
    await starter.wait()
    assert 0 <= await inference.judge(SECOND, ask()) <= 1
    await inference.aclose()
    await until(lambda: not is_alive(process))


# ── processes that lie ────────────────────────────────────────────────────────────


@asynccontextmanager
async def posing(
    socket: Path, say: Callable[[object, asyncio.StreamWriter], None]
) -> AsyncIterator[tuple[RemoteInference, list[object]]]:
    """Something that listens where a process should, and answers as `say` does; and all that it was asked."""
    asked: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_message(reader, REQUESTS)
            if isinstance(request, Ping):
                writer.write(framed(Pong()))
            else:
                asked.append(request)
                say(request, writer)

    async with listening(socket, serve):
        inference = RemoteInference([socket])
        yield inference, asked
        await inference.aclose()


@asynccontextmanager
async def listening(
    socket: Path, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[None]:
    """Serve every connection until it is closed."""
    connections: set[asyncio.Task[None]] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, OSError):
            await serve(reader, writer)
        writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(hold(reader, writer)))

    server = await asyncio.start_unix_server(connected, socket)
    yield
    server.close()
    await asyncio.gather(*connections)


async def test_a_process_that_talks_nonsense_is_asked_twice_and_no_more(run_dir: Path) -> None:
    def nonsense(_request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\x00\x00\x02{}")

    lost = INFERENCE_REFUSED.labels("judgement", "lost")
    before = lost._value.get()
    async with posing(run_dir / "s", nonsense) as (inference, asked):
        with pytest.raises(ProviderError, match="smart-turn turn_detector: its process died") as refusal:
            await inference.judge(SECOND, ask())
        assert refusal.value.retryable
        assert len([request for request in asked if isinstance(request, Judge)]) == 2
    assert lost._value.get() == before + 1


async def test_an_answer_to_nothing_is_ignored(run_dir: Path) -> None:
    def answer(request: object, writer: asyncio.StreamWriter) -> None:
        if isinstance(request, Judge):
            writer.write(framed(Judged(999, 0, 0, 0.1)) + framed(Judged(request.piece, 0, 0, 0.7)))

    async with posing(run_dir / "s", answer) as (inference, _):
        assert await inference.judge(SECOND, ask()) == 0.7


async def test_a_process_that_lives_but_never_answers_is_not_waited_for(run_dir: Path) -> None:
    async with posing(run_dir / "s", lambda _request, _writer: None) as (inference, asked):
        began = time.monotonic()
        with pytest.raises(ProviderError, match="its turn did not come in time"):
            await inference.judge(SECOND, ask(patience=0.2))
        assert time.monotonic() - began < 2
        await asyncio.sleep(0.05)
        assert isinstance(asked[-1], Cancel)


async def test_without_any_process_a_caller_is_told_in_time(run_dir: Path) -> None:
    inference = RemoteInference([run_dir / "nobody"])
    with pytest.raises(ProviderError, match="no inference process answers"):
        await inference.judge(SECOND, ask(patience=0.2))
    await inference.aclose()
    with pytest.raises(ProviderError, match="was closed"):
        await inference.judge(SECOND, ask())


async def test_closing_refuses_what_is_in_hand(run_dir: Path) -> None:
    async with posing(run_dir / "s", lambda _request, _writer: None) as (inference, asked):
        asking = asyncio.create_task(inference.judge(SECOND, ask()))
        await until(lambda: asked)
        await inference.aclose()
        with pytest.raises(ProviderError, match="was closed"):
            await asking


async def test_what_was_made_ahead_is_said_to_be_wanted(run_dir: Path) -> None:
    def speak(request: object, writer: asyncio.StreamWriter) -> None:
        if isinstance(request, Want):
            writer.write(framed(Spoken(request.piece, 0, 0, SECOND, ())) + framed(Ended(request.piece)))

    async with posing(run_dir / "s", speak) as (inference, asked):
        wish = ask(ahead=True)
        async with aclosing(inference.synthesize("Hello.", wish, voice="joe", pace=1.0)) as speech:
            speaking = asyncio.create_task(anext(speech))
            await until(lambda: asked)
            assert isinstance(asked[0], Synthesize)
            assert asked[0].ahead
            wish.purpose.is_wanted()
            assert (await speaking).pcm == SECOND


async def test_a_process_that_does_not_read_is_not_sent_more(run_dir: Path) -> None:
    """Its socket fills, then our buffer up to its limit; it is alive as far as anybody knows, but no help."""
    stuck = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(Pong()))
        await stuck.wait()

    async with listening(run_dir / "s", serve):
        inference = RemoteInference([run_dir / "s"], silence=20)
        half_a_minute = 30 * SECOND
        asking = [
            asyncio.create_task(inference.judge(half_a_minute, ask(str(number))))
            for number in range(UNSENT // len(half_a_minute) + 4)
        ]
        done, waiting = await asyncio.wait(asking, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert {str(task.exception()) for task in done} == {"smart-turn turn_detector: overloaded: too much is waiting"}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await inference.aclose()
        stuck.set()


def test_every_message_survives_the_way() -> None:
    spoken = Spoken(7, 0.1, 0.2, b"\x00\x01", (("Hello", 0.0), ("there", 0.4)))
    assert ANSWERS.decode(framed(spoken)[4:]) == spoken
    assert REQUESTS.decode(framed(WarmUp(1, "speech"))[4:]) == WarmUp(1, "speech")
