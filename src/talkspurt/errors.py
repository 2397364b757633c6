"""Every error this package raises on purpose, by where it happened and who must act.

    TalkspurtError
    ├── ConfigurationError   the operator must change a setting, file or key
    ├── WeightsError         model weights are missing or corrupted; says which command mends it
    ├── ProtocolError        the far end sent what its protocol forbids (counted, never fatal to a call)
    ├── TransportError       the line to the carrier is gone
    ├── ProviderError        a recognizer, synthesizer or language model failed
    ├── StoreError           the database cannot be reached or refused the write
    │   └── StaleOwnerError  another process owns the call now; this one has to leave it alone
    └── CallError            one call cannot go on; other calls are untouched

`code` is stable: the API, the metrics and the dashboard show it, never the class name.
"""

from typing import ClassVar, Literal


class TalkspurtError(Exception):
    """Root of all errors raised on purpose; the message says what to do."""

    code: ClassVar[str] = "talkspurt"


class ConfigurationError(TalkspurtError):
    """A setting is unknown, missing, contradictory or out of range."""

    code = "configuration"


class WeightsError(TalkspurtError):
    """A model file is missing, incomplete or does not have its pinned hash."""

    code = "weights"


class ProtocolError(TalkspurtError):
    """A message from the line breaks its protocol. `reason` is a metric label: short and from a closed set."""

    code = "protocol"

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class TransportError(TalkspurtError):
    """The media connection to the carrier is closed or refused."""

    code = "transport"


ProviderFault = Literal[
    "timeout",
    "unreachable",
    "rate_limited",
    "quota_exceeded",
    "unavailable",
    "key_rejected",
    "unknown_model",
    "too_long",
    "rejected",
    "refused",
    "broken_off",
    "unreadable",
    "empty",
    "no_session",
    "overloaded",
    "failed",
]
"""What went wrong at a provider. `too_long` is a prompt over the model's window, `rejected` a request that is refused
whoever sends it, `no_session` that this call has no session with it at the moment, `overloaded` that a model of our own
has too much to do, `refused` the provider's judgement of what was said, `failed` anything else."""


class ProviderError(TalkspurtError):
    """A speech or language-model provider failed.

    `retryable` says whether asking again can help, `retry_after` after how many seconds if the vendor said so (429).
    `rejected`: the key is not accepted; until an operator acts no call can be helped by asking. `fault` says what went
    wrong, as a label for logs and metrics.
    """

    code = "provider"

    def __init__(
        self,
        port: Literal["recognizer", "synthesizer", "model", "turn_detector"],
        vendor: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        rejected: bool = False,
        fault: ProviderFault = "failed",
    ) -> None:
        super().__init__(f"{vendor} {port}: {message}")
        self.port = port
        self.vendor = vendor
        self.retryable = retryable
        self.retry_after = retry_after
        self.rejected = rejected
        self.fault: ProviderFault = fault


class StoreError(TalkspurtError):
    """The database cannot be reached or did not take the write."""

    code = "store"


class StaleOwnerError(StoreError):
    """Another process has taken the call over: what this one wants to write about it is refused."""

    code = "stale_owner"


class SettledError(StoreError):
    """An effect that was executing has been settled by somebody else meanwhile."""

    code = "settled"


class CallError(TalkspurtError):
    """One call cannot be answered or cannot go on."""

    code = "call"


def complaints(error: Exception) -> list[str]:
    """What to say of an error, or of a group of them from tasks side by side; raises what is nobody's to mend."""
    if not isinstance(error, ExceptionGroup):
        return [str(error)]
    meant, unforeseen = error.split(TalkspurtError)
    if unforeseen is not None:
        raise unforeseen
    return [complaint for inner in (meant.exceptions if meant else ()) for complaint in complaints(inner)]
