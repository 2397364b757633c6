"""What the failure of a cloud speech vendor means to a call: one `ProviderError` for every exception of every SDK.

Invariant: no error carries the vendor's words. They can quote the key or what was to be said.
"""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from talkspurt.errors import ConfigurationError, ProviderError, ProviderFault

_RETRYABLE_STATUSES: Final = frozenset({408, 409, 425})
_LONGEST_WAIT: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class SpeechVendor:
    """One vendor in one place, and the names that its failures have there."""

    port: Literal["recognizer", "synthesizer"]
    name: str
    variable: str
    """The environment variable of its key."""
    model: str = ""
    """What it is asked for; "" when there is nothing to choose."""
    models: tuple[str, ...] = ()
    """Models of it that are known, for whoever has mistyped one."""

    def of_model(self, model: str, *known: str) -> Self:
        """The same vendor, asked for `model`."""
        return replace(self, model=model, models=known)

    def key(self, environment: Mapping[str, str] | None = None) -> str:
        """The key in `environment` (default: the process's). Raises `ConfigurationError` without one."""
        key = (os.environ if environment is None else environment).get(self.variable, "").strip()
        if not key:
            raise ConfigurationError(
                f"speech.{self.port} = '{self.name}' needs a key: set the environment variable {self.variable}"
            )
        return key

    def error(
        self, message: str, fault: ProviderFault, *, retryable: bool = True, retry_after: float | None = None
    ) -> ProviderError:
        """A `ProviderError` of this vendor."""
        return ProviderError(
            self.port,
            self.name,
            message,
            retryable=retryable,
            retry_after=_sensible(retry_after),
            rejected=fault == "key_rejected",
            fault=fault,
        )

    def refused(
        self, status: int, *, fault: ProviderFault | None = None, retry_after: float | None = None
    ) -> ProviderError:
        """The error of an answer with HTTP status `status`; `fault` where its body says more than the status does."""
        return self.refused_as(fault or _fault(status), f"HTTP {status}", retry_after=retry_after)

    def refused_as(self, fault: ProviderFault, answer: str, *, retry_after: float | None = None) -> ProviderError:
        """The error of an answer that refuses; `answer` is its status, in words that hold no one's data."""
        if fault == "key_rejected":
            answer += f": the key is not accepted; look at {self.variable}"
        elif fault == "quota_exceeded":
            answer += ": the account's quota or credit is used up"
        elif fault == "rejected":
            answer += self._advice()
        retryable = fault in ("rate_limited", "unavailable")
        return self.error(answer, fault, retryable=retryable, retry_after=retry_after)

    def _advice(self) -> str:
        """Where to look when a request is refused: vendors say the same to an unknown model and to an unknown voice."""
        near = next(iter(difflib.get_close_matches(self.model, self.models, n=1)), self.model)
        meant = f", did you mean '{near}'?" if near != self.model else ""
        model = f"speech.{self.port} (the model '{self.model}'{meant})" if self.model else ""
        voice = "the voice (speech.voice, or the agent's)" if self.port == "synthesizer" else ""
        places = " and at ".join(filter(None, (model, voice)))
        return f": look at {places}" if places else ""

    def too_late(self) -> ProviderError:
        """The error of one whose deadline has passed."""
        what = "words" if self.port == "recognizer" else "audio"
        return self.error(f"no {what} in time", "timeout")

    def unreachable(self) -> ProviderError:
        """The error of a connection that cannot be made or was lost."""
        return self.error("the connection failed", "unreachable")

    def broke_off(self) -> ProviderError:
        """The error of speech that ended before its text did."""
        return self.error("the speech broke off", "broken_off")

    def unreadable(self, what: str = "") -> ProviderError:
        """The error of an answer that is not of the protocol."""
        return self.error(f"answered with something unreadable{what}", "unreadable")

    @contextmanager
    def failures(self, judge: Callable[[Exception], ProviderError | None]) -> Iterator[None]:
        """Turn what is raised inside into a `ProviderError`; `judge` knows the SDK's classes. Cancellation passes."""
        try:
            yield
        except ProviderError:
            raise
        except Exception as error:  # what an SDK makes of garbage is not of a closed set
            raise self.judged(error, judge) from None

    def judged(self, error: Exception, judge: Callable[[Exception], ProviderError | None]) -> ProviderError:
        """What `error` is called here."""
        if isinstance(error, ProviderError):
            return error
        if isinstance(error, TimeoutError):
            return self.too_late()
        return judge(error) or self.unreadable(f" ({type(error).__name__})")


def _fault(status: int) -> ProviderFault:
    if status in (401, 403):
        return "key_rejected"
    if status == 402:
        return "quota_exceeded"
    if status == 429:
        return "rate_limited"
    return "unavailable" if status >= 500 or status in _RETRYABLE_STATUSES else "rejected"


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """How long the vendor asks to wait, of the response header `retry-after` in seconds; None for nothing sensible."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return _sensible(float(value))
    except ValueError:
        return None


def _sensible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 <= seconds <= _LONGEST_WAIT else None
