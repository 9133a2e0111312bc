"""Everything that can go wrong, one class per code.

::

    AIModelsError
    ├── InvalidRequest                  400 invalid_request
    │   ├── ContextWindowExceeded       400 context_window_exceeded
    │   └── ContentPolicyViolation      400 content_policy_violation
    ├── Unauthenticated                 401 unauthenticated
    ├── PermissionDenied                403 permission_denied
    ├── NotFound
    │   ├── ProviderNotFound            404 provider_not_found
    │   ├── ModelNotFound               404 model_not_found
    │   ├── StreamNotFound              404 stream_not_found
    │   └── VideoNotFound               404 video_not_found
    ├── NotEnabled
    │   ├── ProviderDisabled            409 provider_disabled
    │   └── CapabilityNotEnabled        409 capability_not_enabled
    ├── PayloadTooLarge                 413 payload_too_large
    ├── UnsupportedFunctionality        422 unsupported_functionality
    ├── RateLimitExceeded               429 rate_limit_exceeded
    ├── Internal                        500 internal
    ├── UpstreamError                   502 upstream_error
    │   ├── UpstreamAuthFailed          502 upstream_auth_failed
    │   ├── UpstreamInvalidResponse     502 upstream_invalid_response
    │   ├── NoObjectGenerated           502 no_object_generated
    │   ├── UpstreamRateLimited         429 upstream_rate_limited
    │   └── UpstreamTimeout             504 upstream_timeout
    ├── Unavailable
    │   ├── CredentialUnavailable       503 credential_unavailable
    │   ├── CircuitOpen                 503 circuit_open
    │   ├── NotReady                    503 not_ready
    │   └── VideoNotReady               503 not_ready
    └── ConfigurationError              (start-up and commands only; lists every problem)

A message is written by us and never carries a credential, an upstream address or an upstream body.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

Remedy = Literal["caller", "admin", "provider", "retry"]


class AIModelsError(Exception):
    """Base of the tree.

    Attributes:
        code: stable name, part of the public contract.
        http_status: the status an HTTP edge answers with.
        retryable: whether the same call can succeed later without anyone changing anything.
        remedy: who can do something about it.
        config_path: the ``app-config.yaml`` key to change, when there is one.
        retry_after: seconds to wait before a retry, when known.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: bool = False
    remedy: Remedy = "admin"

    def __init__(
        self,
        message: str,
        *,
        config_path: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
        remedy: Remedy | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.config_path = config_path
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable
        if remedy is not None:
            self.remedy = remedy

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The error as every edge sends it: ``{"error": {"code", "message", ...}}``."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "remedy": self.remedy,
            "requestId": request_id,
        }
        if self.config_path is not None:
            error["configPath"] = self.config_path
        if self.retry_after is not None:
            error["retryAfter"] = self.retry_after
        return {"error": error}


class InvalidRequest(AIModelsError):
    """The caller's input is wrong; the message names the field."""

    code = "invalid_request"
    http_status = 400
    remedy: Remedy = "caller"


class ContextWindowExceeded(InvalidRequest):
    """The input is longer than the model takes."""

    code = "context_window_exceeded"


class ContentPolicyViolation(InvalidRequest):
    """The provider refused the input under its content policy."""

    code = "content_policy_violation"


class Unauthenticated(AIModelsError):
    """No valid credential came with the request to us."""

    code = "unauthenticated"
    http_status = 401
    remedy: Remedy = "caller"


class PermissionDenied(AIModelsError):
    """The caller is known and may not do this."""

    code = "permission_denied"
    http_status = 403


class NotFound(AIModelsError):
    """Base of what does not exist."""

    code = "provider_not_found"
    http_status = 404
    remedy: Remedy = "caller"


class ProviderNotFound(NotFound):
    """No provider instance has this name, or no default provider is set."""


class ModelNotFound(NotFound):
    """The provider does not know the model."""

    code = "model_not_found"


class StreamNotFound(NotFound):
    """There is no such stream to come back to: it is another user's, or its time is over."""

    code = "stream_not_found"


class VideoNotFound(NotFound):
    """There is no such video job, it is another user's, or it has no such video."""

    code = "video_not_found"


class NotEnabled(AIModelsError):
    """Base of what exists and is switched off or not configured."""

    code = "capability_not_enabled"
    http_status = 409


class ProviderDisabled(NotEnabled):
    """An administrator switched the instance off, or it left the configuration file."""

    code = "provider_disabled"


class CapabilityNotEnabled(NotEnabled):
    """The capability has no default model or alias on the instance, or is switched off there."""


class PayloadTooLarge(AIModelsError):
    """The request, or a part of it, is larger than allowed."""

    code = "payload_too_large"
    http_status = 413
    remedy: Remedy = "caller"


class UnsupportedFunctionality(AIModelsError):
    """The provider family or model cannot do this at all."""

    code = "unsupported_functionality"
    http_status = 422
    remedy: Remedy = "caller"


class RateLimitExceeded(AIModelsError):
    """The caller used up its allowance with us, or the provider instance has no place for another call."""

    code = "rate_limit_exceeded"
    http_status = 429
    retryable = True
    remedy: Remedy = "retry"


class Internal(AIModelsError):
    """A fault of ours."""

    retryable = True
    remedy: Remedy = "retry"


class UpstreamError(AIModelsError):
    """The provider failed or the connection to it did."""

    code = "upstream_error"
    http_status = 502
    retryable = True
    remedy: Remedy = "retry"


class UpstreamAuthFailed(UpstreamError):
    """The provider refused the instance's credential."""

    code = "upstream_auth_failed"
    retryable = False
    remedy: Remedy = "admin"


class UpstreamInvalidResponse(UpstreamError):
    """The provider answered with something that is not its own format, too large, or cut off."""

    code = "upstream_invalid_response"
    remedy: Remedy = "provider"


class NoObjectGenerated(UpstreamError):
    """The model's answer does not satisfy the schema.

    Attributes:
        text: what the model wrote. It reaches in-process callers only, never an edge's envelope.
    """

    code = "no_object_generated"

    def __init__(self, message: str, *, text: str | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.text = text


class UpstreamRateLimited(UpstreamError):
    """The provider is limiting the instance."""

    code = "upstream_rate_limited"
    http_status = 429


class UpstreamTimeout(UpstreamError):
    """The provider did not answer, or stopped answering, within the call's timeout."""

    code = "upstream_timeout"
    http_status = 504


class Unavailable(AIModelsError):
    """Base of what does not work now."""

    code = "not_ready"
    http_status = 503


class CredentialUnavailable(Unavailable):
    """The instance's credential is missing or cannot be decrypted."""

    code = "credential_unavailable"


class CircuitOpen(Unavailable):
    """The instance failed too often just now; calls are refused until it recovers."""

    code = "circuit_open"
    retryable = True
    remedy: Remedy = "retry"


class NotReady(Unavailable):
    """The service itself cannot work yet: storage, migrations or configuration."""

    retryable = True


class VideoNotReady(Unavailable):
    """The video is not made yet; its job goes on."""

    retryable = True
    remedy: Remedy = "retry"


class ConfigurationError(AIModelsError):
    """``app-config.yaml``, settings or families are wrong. Raised at start and by commands, never by a call.

    Attributes:
        problems: one printable line or block per mistake, all that were found.
    """

    code = "not_ready"
    http_status = 503

    def __init__(self, problems: Sequence[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
