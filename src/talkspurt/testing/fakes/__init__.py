"""Vendors on loopback, for tests: each speaks its vendor's real wire format on 127.0.0.1.

Public: use them to test an agent against a vendor's SDK without an account. A fake records
what it was sent, answers as scripted and fails as scripted; its module says what it assumes
about the vendor. None of them needs the vendor's SDK, but for Google Cloud's, which speak gRPC with the
SDK's own messages and are imported from `talkspurt.testing.fakes.google_cloud`.
"""

from talkspurt.testing.fakes.anthropic import FakeAnthropic
from talkspurt.testing.fakes.assemblyai import FakeAssemblyAI
from talkspurt.testing.fakes.bedrock import FakeBedrock
from talkspurt.testing.fakes.cartesia import FakeCartesia
from talkspurt.testing.fakes.deepgram import FakeDeepgram
from talkspurt.testing.fakes.elevenlabs import FakeElevenLabs
from talkspurt.testing.fakes.gemini_live import FakeGeminiLive
from talkspurt.testing.fakes.google import FakeGoogle
from talkspurt.testing.fakes.groq import FakeGroq
from talkspurt.testing.fakes.loopback import RecordedRequest
from talkspurt.testing.fakes.mistral import FakeMistral
from talkspurt.testing.fakes.ollama import FakeOllama
from talkspurt.testing.fakes.openai import FakeOpenAI
from talkspurt.testing.fakes.openai_realtime import FakeOpenAIRealtime
from talkspurt.testing.fakes.openai_responses import FakeOpenAIResponses
from talkspurt.testing.fakes.openai_speech import FakeOpenAISpeech
from talkspurt.testing.fakes.openai_transcription import FakeOpenAITranscription
from talkspurt.testing.fakes.script import Fault, ModelReply, Outage, Speech, ToolUse

__all__ = [
    "FakeAnthropic",
    "FakeAssemblyAI",
    "FakeBedrock",
    "FakeCartesia",
    "FakeDeepgram",
    "FakeElevenLabs",
    "FakeGeminiLive",
    "FakeGoogle",
    "FakeGroq",
    "FakeMistral",
    "FakeOllama",
    "FakeOpenAI",
    "FakeOpenAIRealtime",
    "FakeOpenAIResponses",
    "FakeOpenAISpeech",
    "FakeOpenAITranscription",
    "Fault",
    "ModelReply",
    "Outage",
    "RecordedRequest",
    "Speech",
    "ToolUse",
]
