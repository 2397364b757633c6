"""Every vendor of language models with the fake that speaks its wire format, for tests that run on all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from talkspurt.models.pydantic_ai import Patience, PydanticAIModel
from talkspurt.testing.fakes import (
    FakeAnthropic,
    FakeBedrock,
    FakeGoogle,
    FakeGroq,
    FakeMistral,
    FakeOllama,
    FakeOpenAI,
    FakeOpenAIResponses,
    ModelReply,
)
from talkspurt.testing.fakes.chat import FakeChat

KEY: Final = "sk-canary-0123456789abcdef"
ACCESS_KEY: Final = {"AWS_SECRET_ACCESS_KEY": "canary-secret", "AWS_REGION": "us-east-1"}


class FakeAzure(FakeOpenAI):
    """Azure's OpenAI-compatible interface."""

    path = "/openai/v1/chat/completions"

    @property
    def base_url(self) -> str:
        return self.origin


@dataclass(frozen=True)
class Wire:
    """How to reach a fake through its vendor's SDK."""

    vendor: str
    fake: type[FakeChat]
    variable: str
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: str = "openai"
    sdk: str = "openai"
    keyed: bool = True
    """Whether a wrong key is refused."""

    def connect(
        self,
        fake: FakeChat,
        *,
        key: str = KEY,
        model: str = "some-model",
        patience: Patience | None = None,
        context_window: int | None = None,
        max_tokens: int = 300,
    ) -> PydanticAIModel:
        return PydanticAIModel(
            f"{self.vendor}:{model}",
            base_url=fake.base_url,
            environment={self.variable: key, **self.environment},
            patience=patience,
            context_window=context_window,
            max_tokens=max_tokens,
        )

    def open(self, *, otherwise: ModelReply | None = None) -> FakeChat:
        return self.fake(key=KEY, otherwise=otherwise)


WIRES: Final[Mapping[str, Wire]] = {
    wire.vendor: wire
    for wire in (
        Wire("anthropic", FakeAnthropic, "ANTHROPIC_API_KEY", extra="anthropic", sdk="anthropic"),
        Wire("openai", FakeOpenAI, "OPENAI_API_KEY"),
        Wire("openai-responses", FakeOpenAIResponses, "OPENAI_API_KEY"),
        Wire("google", FakeGoogle, "GOOGLE_API_KEY", extra="google", sdk="google.genai"),
        Wire("bedrock", FakeBedrock, "AWS_ACCESS_KEY_ID", ACCESS_KEY, extra="bedrock", sdk="boto3"),
        Wire("ollama", FakeOllama, "OLLAMA_API_KEY", keyed=False),
        Wire("groq", FakeGroq, "GROQ_API_KEY", extra="groq", sdk="groq"),
        Wire("mistral", FakeMistral, "MISTRAL_API_KEY", extra="mistral", sdk="mistralai"),
        Wire("azure", FakeAzure, "AZURE_OPENAI_API_KEY"),
        Wire("vllm", FakeOpenAI, "VLLM_API_KEY"),
        Wire("llamacpp", FakeOpenAI, "LLAMACPP_API_KEY"),
        Wire("openai-compatible", FakeOpenAI, "OPENAI_COMPATIBLE_API_KEY"),
    )
}
FORMATS: Final = ("anthropic", "openai", "openai-responses", "google", "bedrock", "ollama")
"""One vendor of each wire format."""
