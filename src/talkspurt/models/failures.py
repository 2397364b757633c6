"""What a vendor's failure means to a call: one `ProviderError` for every exception of every SDK.

Invariant: no error carries the vendor's words. They can quote the key or the person on the line; of a vendor's
machine-readable code only what looks like one is passed on.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from pydantic_ai.models import known_model_names

from talkspurt.errors import ProviderError, ProviderFault
from talkspurt.models.vendors import VENDORS, nearest_model

_RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429})
_ERROR_CODE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,39}")
_LONGEST_WAIT: Final = 3_600.0

# The first class that fits: a class stands before those it is derived from.
_FAULTS: Final[tuple[tuple[type[ModelAPIError], ProviderFault, bool], ...]] = (
    (ModelTimeoutError, "timeout", True),
    (ModelConnectionError, "unreachable", True),
    (ModelRateLimitError, "rate_limited", True),
    (ModelQuotaExceededError, "quota_exceeded", False),
    (ModelUnavailableError, "unavailable", True),
    (ModelServerError, "unavailable", True),
    (ModelContextWindowExceededError, "too_long", False),
    (ModelAuthenticationError, "key_rejected", False),
    (ModelNotFoundError, "unknown_model", False),
    (ModelRequestRejectedError, "rejected", False),
)


@dataclass(frozen=True, slots=True)
class Failures:
    """Names the failures of one vendor's model."""

    vendor: str
    model: str

    def error(
        self, message: str, fault: ProviderFault, *, retryable: bool = False, retry_after: float | None = None
    ) -> ProviderError:
        """A `ProviderError` of this vendor."""
        return ProviderError(
            "model",
            self.vendor,
            message,
            retryable=retryable,
            retry_after=retry_after,
            rejected=fault == "key_rejected",
            fault=fault,
        )

    @contextmanager
    def named(self) -> Iterator[None]:
        """Turn whatever is raised inside into a `ProviderError`; cancellation passes."""
        try:
            yield
        except ProviderError:
            raise
        except TimeoutError:
            raise self.error("no output in time", "timeout", retryable=True) from None
        except ModelAPIError as error:
            raise self._api_error(error) from None
        except Exception as error:  # what an SDK makes of garbage is not of a closed set
            what = f"answered with something unreadable ({type(error).__name__})"
            raise self.error(what, "unreadable", retryable=True) from None

    def _api_error(self, error: ModelAPIError) -> ProviderError:
        fault, retryable = _fault(error)
        wait = error.retry_after
        if wait is not None and not 0 <= wait <= _LONGEST_WAIT:
            wait = None
        return self.error(self._message(error, fault), fault, retryable=retryable, retry_after=wait)

    def _message(self, error: ModelAPIError, fault: ProviderFault) -> str:
        if fault == "timeout":
            return "no output in time"
        if fault == "unreachable":
            return "the connection failed"
        code = error.provider_error_code or error.provider_error_type or ""
        status = f"HTTP {error.status_code}" if isinstance(error, ModelHTTPError) else "failed"
        answer = f"{status} {code}" if _ERROR_CODE.fullmatch(code) else status
        return answer + self._advice(fault)

    def _advice(self, fault: ProviderFault) -> str:
        vendor = VENDORS[self.vendor]
        if fault == "key_rejected":
            return f": the key is not accepted; look at {' or '.join(vendor.keys)}"
        if fault == "unknown_model":
            near = nearest_model(self.vendor, self.model, known_model_names())
            also = f"; did you mean '{self.vendor}:{near}'?" if near and near != self.model else ""
            return f": there is no model '{self.model}' there{also} (or model.base_url is wrong)"
        if fault == "quota_exceeded":
            return ": the account's quota or credit is used up"
        return ""


def _fault(error: ModelAPIError) -> tuple[ProviderFault, bool]:
    for category, fault, retryable in _FAULTS:
        if isinstance(error, category):
            return fault, retryable
    if isinstance(error, ModelHTTPError):
        retryable = error.status_code in _RETRYABLE_STATUSES or error.status_code >= 500
        return ("unavailable" if retryable else "rejected"), retryable
    return "failed", True
