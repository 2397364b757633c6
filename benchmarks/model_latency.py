"""What our code adds to a language model: from the decided turn to its request at the vendor, and CPU.

    python -m benchmarks.model_latency [--requests 300]

A fake vendor runs in a process of its own and notes on the machine's monotonic clock when a request has arrived there
whole; the model runs here, warm, with the retail agent's prompt, tools and a conversation of ten turns. Writes
`build/bench/model_latency.json`. Exit status 1 when the goal of 10 ms at p95 is missed.
"""

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request

from talkspurt.core.history import AgentSaid, CallerSaid, Entry, ToolAnswered, ToolCalled
from talkspurt.effects.dispatcher import tool_specs
from talkspurt.models.pydantic_ai import PydanticAIModel
from talkspurt.ports import ReplyRequest
from talkspurt.retail import create_agent
from talkspurt.testing.fakes import FakeAnthropic, FakeOpenAI, ModelReply
from talkspurt.testing.fakes.chat import FakeChat

GOAL_MS: Final = 10.0
OUTPUT: Final = Path("build/bench/model_latency.json")
VENDORS: Final[dict[str, tuple[type[FakeChat], str]]] = {
    "openai": (FakeOpenAI, "OPENAI_API_KEY"),
    "anthropic": (FakeAnthropic, "ANTHROPIC_API_KEY"),
}
REPLY: Final = ModelReply(text=tuple(f"word{number} " for number in range(20)), gap=0.01)
"""Token by token, as vendors send it: what comes at once costs a client less."""


def main() -> int:
    """Measure every vendor; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=300)
    requests = parser.parse_args().requests
    rows = [measure(vendor, requests) for vendor in VENDORS]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({"goal_ms": GOAL_MS, "requests": requests, "models": rows}, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['vendor']:10} decided -> request at the vendor: p50 {row['sent_p50_ms']:.1f} ms,"
            f" p95 {row['sent_p95_ms']:.1f} ms (goal {GOAL_MS:g}); CPU per reply of 20 tokens {row['cpu_ms']:.1f} ms"
        )
    return 0 if all(row["sent_p95_ms"] <= GOAL_MS for row in rows) else 1


def measure(vendor: str, requests: int) -> dict[str, Any]:
    """One vendor's figures."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(vendor, theirs), daemon=True)
    process.start()
    try:
        base_url = ours.recv()
        decided, cpu = asyncio.run(ask(vendor, base_url, requests))
        ours.send("stop")
        arrived = ours.recv()
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
    assert len(arrived) == len(decided), "a request went missing"
    sent = sorted((there - here) * 1000 for here, there in zip(decided, arrived, strict=True))[: len(decided)]
    return {
        "vendor": vendor,
        "sent_p50_ms": round(quantile(sent, 0.5), 2),
        "sent_p95_ms": round(quantile(sent, 0.95), 2),
        "sent_max_ms": round(sent[-1], 2),
        "cpu_ms": round(cpu * 1000, 2),
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value at that share of `ordered`."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def ask(vendor: str, base_url: str, requests: int) -> tuple[list[float], float]:
    """When each turn was decided, in seconds of the monotonic clock, and the CPU seconds of a reply."""
    agent = create_agent("sqlite+aiosqlite:///:memory:")
    model = PydanticAIModel(f"{vendor}:some-model", base_url=base_url, environment={VENDORS[vendor][1]: "test-key"})
    request = ReplyRequest(agent.instructions, conversation(), tool_specs(agent), caller_facts="Today is Monday.")
    for _ in range(20):
        async for _part in model.reply(request):
            pass
    decided: list[float] = []
    cpu = time.process_time()
    for _ in range(requests):
        decided.append(time.monotonic())
        async for _part in model.reply(request):
            pass
    spent = (time.process_time() - cpu) / requests
    await model.aclose()
    return decided, spent


def conversation() -> tuple[Entry, ...]:
    """Ten turns of an enquiry."""
    history: list[Entry] = [AgentSaid("Thanks for calling. How can I help?")]
    for number in range(10):
        history += [
            CallerSaid(f"And what about order number W000000{number}, please?"),
            ToolCalled(f"call-{number}", "find_order", json.dumps({"order_id": f"W000000{number}"})),
            ToolAnswered(f"call-{number}", "find_order", json.dumps({"status": "delivered", "items": ["a lamp"] * 5})),
            AgentSaid("That one has been delivered. Is there anything else I can do?"),
        ]
    return (*history, CallerSaid("No, thank you."))


def serve(vendor: str, pipe: Connection) -> None:
    """The fake vendor's process: says where it is, then, when told to stop, when requests had arrived."""
    asyncio.run(_serve(vendor, pipe))


async def _serve(vendor: str, pipe: Connection) -> None:
    arrived: list[float] = []
    fake_type = VENDORS[vendor][0]

    class Noting(fake_type):  # type: ignore[valid-type, misc]
        async def _answer(self, request: Request) -> Any:
            await request.body()
            arrived.append(time.monotonic())
            return await super()._answer(request)

    async with Noting(otherwise=REPLY) as fake:
        # Past the relay, which is a hop that no vendor has.
        pipe.send(fake.past_the_line(fake.base_url))
        await asyncio.to_thread(pipe.recv)
        pipe.send(arrived[20:])


if __name__ == "__main__":
    sys.exit(main())
