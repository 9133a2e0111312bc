"""From what a provider answered to an error of ours: by status first, by the provider's error code where a status says too
little, and by words of its message only to tell apart the kinds of 400. Nothing of the answer goes into our message."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ai_models.exceptions import (
    AIModelsError,
    ContentPolicyViolation,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    PayloadTooLarge,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamInvalidResponse,
    UpstreamRateLimited,
    UpstreamTimeout,
)

LONGEST_RETRY_AFTER = 3600.0

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_CONTEXT_WORDS = re.compile(
    r"(?:prompt|input) is too long|context (?:size|window|length)|maximum number of tokens|too many input tokens", re.IGNORECASE
)
_POLICY_CODES = frozenset({"content_policy_violation", "content_filter", "moderation_blocked", "responsibleaipolicyviolation"})
_POLICY_WORDS = re.compile(
    r"content policy|content management policy|safety system|moderation system|usage polic|usage guidelines|responsible ai"
    r"|content filter",
    re.IGNORECASE,
)
_KEY_WORDS = re.compile(r"API key (?:not valid|expired|not found)", re.IGNORECASE)  # with which Google answers 400
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"})
# With 403, from vendors that recognize the credential: of AWS, of Anthropic, and of OpenAI for a key without that scope.
_PERMISSION_CODES = frozenset({"accessdeniedexception", "permission_error", "missing_scope"})
# The status that goes with a provider's error code, for errors that come with status 200.
_STATUS_OF_CODE = {
    "authentication_error": 401, "invalid_api_key": 401, "permission_error": 403, "accessDeniedException": 403,
    "not_found_error": 404, "model_not_found": 404, "resourceNotFoundException": 404,
    "invalid_request_error": 400, "validationException": 400, "request_too_large": 413, "modelTimeoutException": 408,
    "rate_limit_error": 429, "rate_limit_exceeded": 429, "insufficient_quota": 429, "throttlingException": 429,
    "overloaded_error": 529,
}  # fmt: skip


class Unsuitable(UpstreamInvalidResponse):
    """The provider gave a complete answer that has not in it what was asked for."""


class NotPermitted(UpstreamAuthFailed):
    """The provider knows the credential, which may not do this."""


def from_status(status: int, headers: Mapping[str, str], body: bytes) -> AIModelsError:
    """The error for an answer with a status of 400 or above.

    Args:
        headers: of the answer, names in lower case.
        body: the first part of the answer is enough.
    """
    named, _, _ = headers.get("x-amzn-errortype", "").partition(":")  # AWS says there what others say in the body
    return _error(status, {**_details(body), **({"header": named} if named else {})}, retry_after(headers))


def from_error_object(payload: Mapping[str, Any]) -> AIModelsError:
    """The error for an error object that came with status 200, whole or in the middle of a stream."""
    details = _codes(payload.get("error"))
    status = next((code for code in details.values() if isinstance(code, int) and 400 <= code < 600), None)
    named = (str(value) for value in details.values())
    return _error(status or next((_STATUS_OF_CODE[name] for name in named if name in _STATUS_OF_CODE), 500), details, None)


def from_failed_work(error: object) -> AIModelsError:
    """The error of work that a provider accepted and that failed later, from what it says about the failure."""
    details = _codes(error)
    if _is_refusal({str(value).lower() for value in details.values()}, str(details.get("message", ""))):
        return ContentPolicyViolation("The provider refused to go on under its content policy.")
    return UpstreamError("The provider accepted the request and failed later.")


@contextmanager
def of_known_work() -> Iterator[None]:
    """Where work is asked for by its id, what is not found is the work and not a model."""
    try:
        yield
    except ModelNotFound:
        raise UpstreamError("The provider does not know this video any more.", retryable=False, remedy="provider") from None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from ``retry-after-ms`` or ``Retry-After`` (seconds or date), clamped to an hour; ``None`` when senseless."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return _clamp(milliseconds / 1000)
    value = headers.get("retry-after")
    if (seconds := _number(value)) is not None:
        return _clamp(seconds)
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return _clamp((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _error(status: int, details: Mapping[str, Any], wait: float | None) -> AIModelsError:
    codes = {str(value).lower() for value in details.values()}
    if status == 403 and codes & _PERMISSION_CODES:
        return NotPermitted("The provider does not let the instance's credential do this.")
    if status in {401, 403} or (status == 400 and _KEY_WORDS.search(str(details.get("message", "")))):
        return UpstreamAuthFailed("The provider refused the instance's credential.")
    if status == 404:
        return ModelNotFound("The provider does not know this model.")
    if status == 408:
        return UpstreamTimeout("The provider gave up waiting.")
    if status == 413:
        return PayloadTooLarge("The request is larger than the provider takes.")
    if status == 429:
        if codes & _QUOTA_CODES:
            return UpstreamRateLimited("The instance's quota with the provider is used up.", retryable=False, remedy="admin")
        return UpstreamRateLimited("The provider limits the instance's rate.", retry_after=wait)
    if status in {400, 422}:
        return _rejected(codes, str(details.get("message", "")))
    if status in {409, 500, 502, 503, 504, 529}:
        return UpstreamError("The provider reports a failure of its own.", retry_after=wait)
    return UpstreamError(f"The provider answered with status {status}.", retryable=False, remedy="provider")


def _rejected(codes: set[str], message: str) -> AIModelsError:
    if codes & _CONTEXT_CODES or _CONTEXT_WORDS.search(message):
        return ContextWindowExceeded("The input is longer than the model takes.")
    if _is_refusal(codes, message):
        return ContentPolicyViolation("The provider refused the input under its content policy.")
    return InvalidRequest("The provider rejected the request as invalid. Check the model's limits and the settings sent.")


def _is_refusal(codes: set[str], message: str) -> bool:
    return bool(codes & _POLICY_CODES or _POLICY_WORDS.search(message))


def _details(body: bytes) -> Mapping[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(payload, list) and payload:  # Gemini wraps stream errors in an array
        payload = payload[0]
    if not isinstance(payload, dict):
        return {}
    return _codes(payload.get("error", payload))


def _codes(error: object) -> Mapping[str, Any]:
    if isinstance(error, dict):
        return {
            key: error[key] for key in ("code", "type", "status", "message", "__type") if isinstance(error.get(key), str | int)
        }
    return {"message": error} if isinstance(error, str) else {}


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _clamp(seconds: float) -> float:
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
