"""Judges signatures of requests to AWS (Signature Version 4), in a header or in the query of a URL, by botocore's own computation."""

import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .local_server import HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=5)

_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} Credential=(?P<credential>[^,]+), ?SignedHeaders=(?P<headers>[^,]+), ?Signature=(?P<signature>[0-9a-f]+)"
)


class Denied(msgspec.Struct, frozen=True):
    """Why a request is not taken: the name of AWS's exception and its message. Always status 403."""

    code: str
    message: str


class AwsAccess(msgspec.Struct, frozen=True, kw_only=True):
    """The only credentials an emulator knows."""

    access_key_id: str = "AKIDEMULATED"
    secret_access_key: str = "secret/of+the=emulator"  # noqa: S105 - for tests
    session_token: str | None = None
    region: str = "us-east-1"

    def denied(self, request: HttpRequest, service: str, *, max_expires: int | None = None) -> Denied | None:
        """Why the signature of this request is not good; None when it is. `max_expires`: signed in the query, valid no longer than that."""
        if max_expires is None:
            return self._denied_by_header(request, service)
        return self._denied_by_query(request, service, max_expires)

    def _denied_by_header(self, request: HttpRequest, service: str) -> Denied | None:
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None:
            return Denied("MissingAuthenticationTokenException", "Missing Authentication Token")
        headers = found["headers"].split(";")
        date = request.headers.get("x-amz-date", "")
        fault = self._fault(found["credential"], request.headers.get("x-amz-security-token"), service)
        fault = fault or _clock_fault(date, MAX_SKEW)
        if fault is None and not {"host", "x-amz-date"} <= set(headers):
            fault = Denied("InvalidSignatureException", "'Host' and 'X-Amz-Date' must be signed headers.")
        if fault is not None:
            return fault
        signed = {name: request.headers.get(name, "") for name in headers}
        return self._compare(request, service, signed, date, request.raw_query, found["signature"])

    def _denied_by_query(self, request: HttpRequest, service: str, max_expires: int) -> Denied | None:
        query = dict(request.query)
        needed = ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature"]
        if any(name not in query for name in needed):
            return Denied("MissingAuthenticationTokenException", "Missing Authentication Token")
        expires = query.get("X-Amz-Expires", "")
        if query["X-Amz-Algorithm"] != ALGORITHM or query["X-Amz-SignedHeaders"] != "host":
            return Denied("InvalidSignatureException", "Only the header 'host' is to be signed, with AWS4-HMAC-SHA256.")
        if not expires.isdigit() or not 1 <= int(expires) <= max_expires:
            return Denied("InvalidSignatureException", f"X-Amz-Expires must be between 1 and {max_expires} seconds.")
        fault = self._fault(query["X-Amz-Credential"], query.get("X-Amz-Security-Token"), service)
        fault = fault or _clock_fault(query["X-Amz-Date"], timedelta(seconds=int(expires)))
        if fault is not None:
            return fault
        unsigned = "&".join(part for part in request.raw_query.split("&") if not part.startswith("X-Amz-Signature="))
        host = {"host": request.headers.get("host", "")}
        return self._compare(request, service, host, query["X-Amz-Date"], unsigned, query["X-Amz-Signature"])

    def _fault(self, credential: str, token: str | None, service: str) -> Denied | None:
        key, *scope = credential.split("/")
        if key != self.access_key_id or token != self.session_token:
            return Denied("UnrecognizedClientException", "The security token included in the request is invalid.")
        if len(scope) != 4 or scope[1:] != [self.region, service, "aws4_request"]:
            text = f"Credential should be scoped to {self.region}/{service}/aws4_request."
            return Denied("InvalidSignatureException", text)
        return None

    def _compare(
        self, request: HttpRequest, service: str, headers: dict[str, str], date: str, query: str, signature: str
    ) -> Denied | None:
        url = f"http://{request.headers.get('host', '')}{request.path}{'?' if query else ''}{query}"
        signed: Any = AWSRequest(request.method, url, headers=headers, data=request.body)
        signed.context["timestamp"] = date
        credentials = Credentials(self.access_key_id, self.secret_access_key, self.session_token)
        signer = SigV4Auth(credentials, service, self.region)
        expected = signer.signature(signer.string_to_sign(signed, signer.canonical_request(signed)), signed)
        if hmac.compare_digest(expected, signature):
            return None
        text = "The request signature we calculated does not match the signature you provided."
        return Denied("InvalidSignatureException", text)


def _clock_fault(date: str, limit: timedelta) -> Denied | None:
    try:
        signed_at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return Denied("IncompleteSignatureException", f"Date must be in ISO-8601 'basic format'. Got '{date}'.")
    if abs(datetime.now(UTC) - signed_at) > limit:
        return Denied("InvalidSignatureException", f"Signature expired: {date}.")
    return None
