"""The fakes are public: they must work where no vendor's SDK is installed."""

import subprocess
import sys

BLOCKED = (
    "openai",
    "anthropic",
    "google.genai",
    "google.cloud",
    "grpc",
    "boto3",
    "botocore",
    "pydantic_ai",
    "deepgram",
    "elevenlabs",
    "websockets",
    "aiohttp",
    "livekit",
)
PROGRAM = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
import asyncio
from talkspurt.testing.fakes import *

async def main():
    models = FakeOpenAI, FakeOpenAIResponses, FakeAnthropic, FakeGoogle, FakeBedrock, FakeOllama, FakeGroq, FakeMistral
    speech = FakeElevenLabs, FakeOpenAISpeech, FakeDeepgram, FakeOpenAITranscription, FakeAssemblyAI, FakeCartesia
    for fake in *models, *speech:
        async with fake() as running:
            print(running.base_url)

asyncio.run(main())
"""


def test_they_run_without_any_vendors_sdk() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("://127.0.0.1:") == 14
