"""Checks AWS Signature Version 4 of recorded requests: computed from the wire alone, as the service does it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from tests.upstreams.recorded import Recorded

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r" ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCK_SKEW = 300


class BadSignature(AssertionError):
    """The request is not signed, or not with this key."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a request, for what."""

    access_key_id: str
    region: str
    service: str
    session_token: str | None


def verify(request: Recorded, secret_key: str) -> Signed:
    """Recompute the signature.

    Raises:
        BadSignature: there is none, it is old, or it does not fit the request and the key.
    """
    headers = request.headers
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise BadSignature("there is no SigV4 authorization header")
    signed = match["headers"].split(";")
    if "host" not in signed or "x-amz-date" not in signed:
        raise BadSignature("host and date must be signed")
    stamp = headers["x-amz-date"]
    if abs((datetime.now(UTC) - datetime.strptime(stamp, "%Y%m%dT%H%M%S%z")).total_seconds()) > _CLOCK_SKEW:
        raise BadSignature("the signature is not of now")
    scope = f"{match['date']}/{match['region']}/{match['service']}/aws4_request"
    digest = hashlib.sha256(_canonical(request, signed).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, digest])
    if not hmac.compare_digest(_signature(secret_key, scope, text), match["signature"]):
        raise BadSignature("the signature does not fit")
    return Signed(match["key"], match["region"], match["service"], headers.get("x-amz-security-token"))


def _canonical(request: Recorded, signed: list[str]) -> str:
    query = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in _pairs(request))
    headers = [f"{name}:{' '.join(request.headers[name].split())}" for name in signed]
    # Services other than S3 encode the path once more than the wire does.
    path = quote(request.path, safe="/-_.~")
    lines = [request.method, path, "&".join(f"{name}={value}" for name, value in query), *headers, "", ";".join(signed)]
    return "\n".join([*lines, hashlib.sha256(request.body).hexdigest()])


def _pairs(request: Recorded) -> list[tuple[str, str]]:
    return parse_qsl(request.target.partition("?")[2], keep_blank_values=True)


def _signature(secret_key: str, scope: str, text: str) -> str:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()
