"""The operations of the API as methods. Generated from the OpenAPI document; do not edit."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal

from . import models
from ._calls import Call
from ._paging import AsyncPagedList, PagedList
from ._senders import AsyncSender, Sender
from ._wire import UNSET, Unset, given

OPERATIONS = frozenset(
    [
        "agents.activate",
        "agents.compare",
        "agents.create",
        "agents.deactivate",
        "agents.delete",
        "agents.duplicate",
        "agents.get",
        "agents.get_test",
        "agents.list",
        "agents.publish",
        "agents.restore",
        "agents.stats",
        "agents.test",
        "agents.tests",
        "agents.update",
        "agents.version",
        "agents.versions",
        "analysis.failures",
        "api_keys.create",
        "api_keys.get",
        "api_keys.list",
        "api_keys.rename",
        "api_keys.revoke",
        "api_keys.rotate",
        "audit_log.list",
        "auth.accept_invitation",
        "auth.ask_to_unlock",
        "auth.change_environment",
        "auth.change_password",
        "auth.confirm_registration",
        "auth.forgot",
        "auth.hub_token",
        "auth.login",
        "auth.logout",
        "auth.logout_everywhere",
        "auth.look_at_invitation",
        "auth.me",
        "auth.mfa.add_passkey",
        "auth.mfa.ask_passkey",
        "auth.mfa.begin_passkey",
        "auth.mfa.begin_totp",
        "auth.mfa.confirm_totp",
        "auth.mfa.remove_passkey",
        "auth.mfa.remove_totp",
        "auth.mfa.renew_recovery_codes",
        "auth.mfa.show",
        "auth.mfa.verify",
        "auth.refresh",
        "auth.register",
        "auth.rename",
        "auth.reset",
        "auth.unlock",
        "channels.create",
        "channels.delete",
        "channels.get",
        "channels.list",
        "channels.update",
        "channels.verify",
        "contacts.delete",
        "contacts.get",
        "contacts.list",
        "contacts.update",
        "conversations.add_tags",
        "conversations.analysis",
        "conversations.archive",
        "conversations.costs",
        "conversations.delete",
        "conversations.get",
        "conversations.list",
        "conversations.messages",
        "conversations.recording",
        "conversations.remove_tag",
        "conversations.retry_analysis",
        "conversations.set_outcome",
        "conversations.transcript",
        "conversations.transfer",
        "conversations.transfers",
        "conversations.unarchive",
        "do_not_call.create",
        "do_not_call.delete",
        "do_not_call.get",
        "do_not_call.import_numbers",
        "do_not_call.list",
        "mail.list",
        "messages.create",
        "messages.get",
        "messages.list",
        "models.list",
        "outbound_calls.batch",
        "outbound_calls.cancel",
        "outbound_calls.create",
        "outbound_calls.get",
        "outbound_calls.list",
        "outbound_calls.set_settings",
        "outbound_calls.settings",
        "provider_credentials.create",
        "provider_credentials.delete",
        "provider_credentials.get",
        "provider_credentials.list",
        "provider_credentials.test",
        "provider_credentials.update",
        "settings.cors.get",
        "settings.cors.replace",
        "telephony.numbers.configure",
        "telephony.numbers.create",
        "telephony.numbers.delete",
        "telephony.numbers.get",
        "telephony.numbers.list",
        "telephony.numbers.search",
        "telephony.numbers.update",
        "telephony.numbers.verify",
        "telephony.trunks.create",
        "telephony.trunks.delete",
        "telephony.trunks.get",
        "telephony.trunks.list",
        "telephony.trunks.test",
        "telephony.trunks.update",
        "telephony.usage.get",
        "users.deactivate",
        "users.delete",
        "users.get",
        "users.invite",
        "users.list",
        "users.reactivate",
        "users.resend_invitation",
        "users.reset_mfa",
        "users.revoke_invitation",
        "users.unlock",
        "users.update",
        "voices.list",
        "webrtc.sessions.create",
    ]
)
"""Every operation of the API that this package covers."""


class AuthMfaResource:
    """`client.auth.mfa`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def add_passkey(
        self,
        *,
        credential: Mapping[str, Any],
        enrolment_token: str,
        name: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.NewPasskey:
        """Add the passkey that the authenticator made. Recovery codes come with the first factor, and are shown this
        once.
        """
        return self._send(
            Call(
                operation="auth.mfa.add_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys",
                body=given({"credential": credential, "enrolmentToken": enrolment_token, "name": name}),
                opaque=frozenset(["credential"]),
                idempotency_key=idempotency_key,
                answer=models.NewPasskey,
            )
        )

    def ask_passkey(self, *, mfa_token: str, idempotency_key: str | None = None) -> models.AssertionOptions:
        """During a log-in: what to hand to `navigator.credentials.get`."""
        return self._send(
            Call(
                operation="auth.mfa.ask_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys/challenge",
                body=given({"mfaToken": mfa_token}),
                idempotency_key=idempotency_key,
                answer=models.AssertionOptions,
            )
        )

    def begin_passkey(self, *, password: str, idempotency_key: str | None = None) -> models.PasskeyOptions:
        """Begin with a passkey: what to hand to `navigator.credentials.create`."""
        return self._send(
            Call(
                operation="auth.mfa.begin_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys/options",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
                answer=models.PasskeyOptions,
            )
        )

    def begin_totp(self, *, password: str, idempotency_key: str | None = None) -> models.Totp:
        """Begin with an authenticator app: scan the code, then confirm with the first code the app shows."""
        return self._send(
            Call(
                operation="auth.mfa.begin_totp",
                method="POST",
                path="/api/v1/auth/mfa/totp",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
                answer=models.Totp,
            )
        )

    def confirm_totp(self, *, code: str, idempotency_key: str | None = None) -> models.RecoveryCodes:
        """Switch the app on with its first code. Keep the recovery codes: they are shown this once."""
        return self._send(
            Call(
                operation="auth.mfa.confirm_totp",
                method="POST",
                path="/api/v1/auth/mfa/totp/confirm",
                body=given({"code": code}),
                idempotency_key=idempotency_key,
                answer=models.RecoveryCodes,
            )
        )

    def remove_passkey(self, passkey_id: str, *, password: str, idempotency_key: str | None = None) -> None:
        """Take a passkey away."""
        self._send(
            Call(
                operation="auth.mfa.remove_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys/{passkeyId}/remove",
                path_values={"passkeyId": passkey_id},
                body=given({"password": password}),
                idempotency_key=idempotency_key,
            )
        )

    def remove_totp(self, *, password: str, idempotency_key: str | None = None) -> None:
        """Take the authenticator app away."""
        self._send(
            Call(
                operation="auth.mfa.remove_totp",
                method="POST",
                path="/api/v1/auth/mfa/totp/remove",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
            )
        )

    def renew_recovery_codes(self, *, password: str, idempotency_key: str | None = None) -> models.RecoveryCodes:
        """Get new recovery codes; the old ones are no good any more."""
        return self._send(
            Call(
                operation="auth.mfa.renew_recovery_codes",
                method="POST",
                path="/api/v1/auth/mfa/recovery-codes",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
                answer=models.RecoveryCodes,
            )
        )

    def show(self) -> models.Factors:
        """What you have set up."""
        return self._send(Call(operation="auth.mfa.show", method="GET", path="/api/v1/auth/mfa", answer=models.Factors))

    def verify(
        self,
        *,
        mfa_token: str,
        code: str | Unset = UNSET,
        credential: Mapping[str, Any] | Unset = UNSET,
        method: Literal["totp", "webauthn", "recovery_code"] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Login:
        """Complete a log-in with the second factor. A wrong one counts like a wrong password; after five the log-in
        begins again.
        """
        return self._send(
            Call(
                operation="auth.mfa.verify",
                method="POST",
                path="/api/v1/auth/mfa/verify",
                body=given({"code": code, "credential": credential, "method": method, "mfaToken": mfa_token}),
                opaque=frozenset(["credential"]),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )


class SettingsCorsResource:
    """`client.settings.cors`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def get(self) -> models.Cors:
        """Get the origins whose pages may read this API's answers with a credential of this tenant and environment.
        Needs the scope `keys:read`.
        """
        return self._send(
            Call(operation="settings.cors.get", method="GET", path="/api/v1/settings/cors", answer=models.Cors)
        )

    def replace(self, *, allowed_origins: Sequence[str], if_match: str | None = None) -> models.Cors:
        """Replace the allowed origins; takes effect within ten seconds. Pages of the console are always allowed. Needs
        the scope `keys:write`.

        Args:
            if_match: The `ETag` you saw; 412 when it changed since
        """
        return self._send(
            Call(
                operation="settings.cors.replace",
                method="PUT",
                path="/api/v1/settings/cors",
                body=given({"allowedOrigins": allowed_origins}),
                headers={"If-Match": if_match},
                answer=models.Cors,
            )
        )


class TelephonyNumbersResource:
    """`client.telephony.numbers`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def configure(self, number_id: str, *, idempotency_key: str | None = None) -> models.TelephonyNumber:
        """Have the carrier tell us of a number's calls and texts, as when it was bought. Needs the scope
        `telephony:write`.
        """
        return self._send(
            Call(
                operation="telephony.numbers.configure",
                method="POST",
                path="/api/v1/telephony/numbers/{numberId}/configure",
                path_values={"numberId": number_id},
                idempotency_key=idempotency_key,
                answer=models.TelephonyNumber,
            )
        )

    def create(
        self,
        *,
        phone_number: str,
        provider: Literal["twilio", "vonage", "telnyx"],
        agent_id: str | Unset | None = UNSET,
        friendly_name: str | Unset = UNSET,
        sms_agent_id: str | Unset | None = UNSET,
        source: Literal["purchase", "existing"] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.TelephonyNumber:
        """Buy a number and set it up, so that its calls and texts reach the agent; or take over one that your account
        rents already (`"source": "existing"`). It rents the number from your own account with the carrier if you
        have added one, else from the platform's. While the carrier works on it, `status` is `provisioning`; a
        number is never bought twice, whatever is lost on the way. Needs the scope `telephony:write`.

        Args:
            phone_number: In E.164 form, such as +14155550100
        """
        return self._send(
            Call(
                operation="telephony.numbers.create",
                method="POST",
                path="/api/v1/telephony/numbers",
                body=given(
                    {
                        "agentId": agent_id,
                        "friendlyName": friendly_name,
                        "phoneNumber": phone_number,
                        "provider": provider,
                        "smsAgentId": sms_agent_id,
                        "source": source,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.TelephonyNumber,
            )
        )

    def delete(self, number_id: str, *, keep: bool | None = None) -> None:
        """Give a number back. Where the carrier does not answer, it stays listed as `releasing` until it does. Needs
        the scope `telephony:write`.

        Args:
            keep: Whether the account goes on renting it; else a number that was bought here is given back
        """
        self._send(
            Call(
                operation="telephony.numbers.delete",
                method="DELETE",
                path="/api/v1/telephony/numbers/{numberId}",
                path_values={"numberId": number_id},
                query={"keep": keep},
            )
        )

    def get(self, number_id: str) -> models.TelephonyNumber:
        """One number. Needs the scope `telephony:read`."""
        return self._send(
            Call(
                operation="telephony.numbers.get",
                method="GET",
                path="/api/v1/telephony/numbers/{numberId}",
                path_values={"numberId": number_id},
                answer=models.TelephonyNumber,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: Literal["twilio", "vonage", "telnyx"] | None = None,
        agent_id: str | None = None,
        capability: Literal["voice", "sms", "mms"] | None = None,
        status: Literal["provisioning", "active", "releasing", "failed", "released"] | None = None,
        phone_number: str | None = None,
    ) -> PagedList[models.TelephonyNumber]:
        """List your numbers, newest first. Those that failed or were given back are listed by `status` only. Needs the
        scope `telephony:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only numbers of this carrier
            agent_id: Only numbers that this agent answers
            capability: Only numbers that can do this
            status: Only numbers in this status; else those that are yours
            phone_number: Only this number, in E.164 form
        """
        return PagedList(
            Call(
                operation="telephony.numbers.list",
                method="GET",
                path="/api/v1/telephony/numbers",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "provider": provider,
                    "agentId": agent_id,
                    "capability": capability,
                    "status": status,
                    "phoneNumber": phone_number,
                },
                answer=Any,
            ),
            models.TelephonyNumber,
            self._send,
        )

    def search(
        self,
        *,
        country: str | None = None,
        area_code: str | None = None,
        contains: str | None = None,
        capabilities: str | Sequence[str] | None = None,
        provider: Literal["twilio", "vonage", "telnyx"] | None = None,
        toll_free: bool | None = None,
        limit: int | None = None,
    ) -> models.AvailableNumbers:
        """Find numbers that can be bought. Every carrier that is set up is asked at once; `warnings` names those that
        did not answer. Needs the scope `telephony:read`.

        Args:
            country: ISO 3166-1 alpha-2, such as US
            area_code: The first digits of the national number, such as 415
            contains: Digits, or the letters of a keypad, anywhere in the number
            capabilities: All of these, comma-separated: voice, sms, mms
            provider: Only numbers of this carrier; else of all that are set up
            toll_free: Numbers that cost callers nothing
            limit: Numbers at most
        """
        return self._send(
            Call(
                operation="telephony.numbers.search",
                method="GET",
                path="/api/v1/telephony/numbers/search",
                query={
                    "country": country,
                    "areaCode": area_code,
                    "contains": contains,
                    "capabilities": capabilities,
                    "provider": provider,
                    "tollFree": toll_free,
                    "limit": limit,
                },
                answer=models.AvailableNumbers,
            )
        )

    def update(
        self,
        number_id: str,
        *,
        agent_id: str | Unset | None = UNSET,
        friendly_name: str | Unset = UNSET,
        sms_agent_id: str | Unset | None = UNSET,
    ) -> models.TelephonyNumber:
        """Assign a number to another agent or to none, or name it. Calls that run go on with the agent that answered.
        Needs the scope `telephony:write`.
        """
        return self._send(
            Call(
                operation="telephony.numbers.update",
                method="PATCH",
                path="/api/v1/telephony/numbers/{numberId}",
                path_values={"numberId": number_id},
                body=given({"agentId": agent_id, "friendlyName": friendly_name, "smsAgentId": sms_agent_id}),
                answer=models.TelephonyNumber,
            )
        )

    def verify(self, number_id: str, *, idempotency_key: str | None = None) -> models.NumberVerification:
        """Read at the carrier where it tells of a number's calls and texts, and say what differs from where it should.
        Needs the scope `telephony:write`.
        """
        return self._send(
            Call(
                operation="telephony.numbers.verify",
                method="POST",
                path="/api/v1/telephony/numbers/{numberId}/verify",
                path_values={"numberId": number_id},
                idempotency_key=idempotency_key,
                answer=models.NumberVerification,
            )
        )


class TelephonyTrunksResource:
    """`client.telephony.trunks`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self,
        *,
        name: str,
        provider: Literal["twilio", "vonage", "telnyx"],
        allowed_ips: Sequence[str] | Unset = UNSET,
        credentials: Mapping[str, Any] | Unset | None = UNSET,
        numbers: Sequence[str] | Unset = UNSET,
        origination: Sequence[Mapping[str, Any]] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.SipTrunk:
        """Make a SIP trunk at a carrier: calls to its numbers go to your servers, and your servers call out over it.
        The password of its credentials is in this answer and kept nowhere. Where the carrier fails on the way,
        `status` is `failed`, and an empty PATCH tries again. Needs the scope `telephony:write`.

        Args:
            allowed_ips: IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28
            numbers: Ids of your numbers whose calls go over the trunk; no agent answers them
        """
        return self._send(
            Call(
                operation="telephony.trunks.create",
                method="POST",
                path="/api/v1/telephony/trunks",
                body=given(
                    {
                        "allowedIps": allowed_ips,
                        "credentials": credentials,
                        "name": name,
                        "numbers": numbers,
                        "origination": origination,
                        "provider": provider,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.SipTrunk,
            )
        )

    def delete(self, trunk_id: str) -> None:
        """Take a SIP trunk away. Its numbers stay yours, and their calls come to your agents again. Needs the scope
        `telephony:write`.
        """
        self._send(
            Call(
                operation="telephony.trunks.delete",
                method="DELETE",
                path="/api/v1/telephony/trunks/{trunkId}",
                path_values={"trunkId": trunk_id},
            )
        )

    def get(self, trunk_id: str) -> models.SipTrunk:
        """One SIP trunk. Needs the scope `telephony:read`."""
        return self._send(
            Call(
                operation="telephony.trunks.get",
                method="GET",
                path="/api/v1/telephony/trunks/{trunkId}",
                path_values={"trunkId": trunk_id},
                answer=models.SipTrunk,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: Literal["twilio", "vonage", "telnyx"] | None = None,
    ) -> PagedList[models.SipTrunk]:
        """List SIP trunks, newest first. Needs the scope `telephony:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only trunks at this carrier
        """
        return PagedList(
            Call(
                operation="telephony.trunks.list",
                method="GET",
                path="/api/v1/telephony/trunks",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "provider": provider},
                answer=Any,
            ),
            models.SipTrunk,
            self._send,
        )

    def test(self, trunk_id: str, *, idempotency_key: str | None = None) -> models.SipTrunk:
        """Read at the carrier what it has of each part of a trunk; `lastTest` of the answer says what is missing. No
        call is placed. Needs the scope `telephony:write`.
        """
        return self._send(
            Call(
                operation="telephony.trunks.test",
                method="POST",
                path="/api/v1/telephony/trunks/{trunkId}/test",
                path_values={"trunkId": trunk_id},
                idempotency_key=idempotency_key,
                answer=models.SipTrunk,
            )
        )

    def update(
        self,
        trunk_id: str,
        *,
        allowed_ips: Sequence[str] | Unset = UNSET,
        credentials: Mapping[str, Any] | Unset | None = UNSET,
        name: str | Unset = UNSET,
        numbers: Sequence[str] | Unset = UNSET,
        origination: Sequence[Mapping[str, Any]] | Unset = UNSET,
    ) -> models.SipTrunk:
        """Change a SIP trunk, or with an empty patch try again what the carrier failed at. New credentials are in this
        answer alone. Needs the scope `telephony:write`.

        Args:
            allowed_ips: IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28
            numbers: Ids of your numbers whose calls go over the trunk; no agent answers them
        """
        return self._send(
            Call(
                operation="telephony.trunks.update",
                method="PATCH",
                path="/api/v1/telephony/trunks/{trunkId}",
                path_values={"trunkId": trunk_id},
                body=given(
                    {
                        "allowedIps": allowed_ips,
                        "credentials": credentials,
                        "name": name,
                        "numbers": numbers,
                        "origination": origination,
                    }
                ),
                answer=models.SipTrunk,
            )
        )


class TelephonyUsageResource:
    """`client.telephony.usage`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def get(
        self, *, date_from: str | date | datetime | None = None, date_to: str | date | datetime | None = None
    ) -> models.TelephonyUsage:
        """Calls, minutes, messages and their cost by number, carrier and direction, of conversations that have ended.
        Without `dateFrom` of the last 30 days. Needs the scope `telephony:read`.

        Args:
            date_from: The first day or moment, in ISO 8601; inclusive
            date_to: The last day or moment, in ISO 8601; inclusive
        """
        return self._send(
            Call(
                operation="telephony.usage.get",
                method="GET",
                path="/api/v1/telephony/usage",
                query={"dateFrom": date_from, "dateTo": date_to},
                answer=models.TelephonyUsage,
            )
        )


class WebrtcSessionsResource:
    """`client.webrtc.sessions`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self, *, agent_id: str, metadata: Mapping[str, Any] | Unset = UNSET, idempotency_key: str | None = None
    ) -> models.WebRtcSession:
        """Make a call ready. Connect to WebRtcHub with the session token before it expires, and use the ICE servers as
        they are. Needs the scope `webrtc:write`.
        """
        return self._send(
            Call(
                operation="webrtc.sessions.create",
                method="POST",
                path="/api/v1/webrtc/sessions",
                body=given({"agentId": agent_id, "metadata": metadata}),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.WebRtcSession,
            )
        )


class AgentsResource:
    """`client.agents`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def activate(
        self, agent_id: str, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> models.Agent:
        """Let an agent take calls. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return self._send(
            Call(
                operation="agents.activate",
                method="POST",
                path="/api/v1/agents/{agentId}/activate",
                path_values={"agentId": agent_id},
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    def compare(self, agent_id: str, first: int, second: int) -> models.Comparison:
        """Compare two versions of an agent: which members differ, with the value in the first and in the second. Needs
        the scope `agents:read`.
        """
        return self._send(
            Call(
                operation="agents.compare",
                method="GET",
                path="/api/v1/agents/{agentId}/versions/{first}/compare/{second}",
                path_values={"agentId": agent_id, "first": first, "second": second},
                answer=models.Comparison,
            )
        )

    def create(
        self,
        *,
        llm: Mapping[str, Any],
        name: str,
        persona: Mapping[str, Any],
        system_prompt_template: str,
        transcription: Mapping[str, Any],
        voice: Mapping[str, Any],
        ai_disclosure_message: str | Unset | None = UNSET,
        analysis_config: Mapping[str, Any] | Unset = UNSET,
        background_sound: Literal["none", "office", "cafe", "call_center"] | Unset = UNSET,
        channels: Mapping[str, Any] | Unset = UNSET,
        cost_tracking: Mapping[str, Any] | Unset = UNSET,
        description: str | Unset | None = UNSET,
        dtmf_enabled: bool | Unset = UNSET,
        end_call_phrases: Sequence[str] | Unset = UNSET,
        endpointing: Mapping[str, Any] | Unset = UNSET,
        fallbacks: Mapping[str, Any] | Unset = UNSET,
        fillers: Mapping[str, Any] | Unset = UNSET,
        first_message: str | Unset | None = UNSET,
        first_message_mode: Literal["assistant_speaks_first", "wait_for_user"] | Unset = UNSET,
        hipaa_compliant: bool | Unset = UNSET,
        interruption: Mapping[str, Any] | Unset = UNSET,
        knowledge_base_ids: Sequence[str] | Unset = UNSET,
        max_duration_seconds: int | Unset = UNSET,
        max_idle_time_seconds: int | Unset = UNSET,
        pronunciations: Sequence[Mapping[str, Any]] | Unset = UNSET,
        recording: Mapping[str, Any] | Unset = UNSET,
        silence_detection: Mapping[str, Any] | Unset = UNSET,
        tags: Sequence[str] | Unset = UNSET,
        tools: Sequence[Mapping[str, Any]] | Unset = UNSET,
        transfer: Mapping[str, Any] | Unset = UNSET,
        variables: Mapping[str, Any] | Unset = UNSET,
        voicemail_detection: Mapping[str, Any] | Unset = UNSET,
        widget: Mapping[str, Any] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Agent:
        """Create an agent, as a draft. Fields that are left out get their documented defaults. `warnings` of the
        answer name models and voices that are not in the catalogue, providers that you have no access to, and
        targets of transfers that calls may not go to. Needs the scope `agents:write`.
        """
        return self._send(
            Call(
                operation="agents.create",
                method="POST",
                path="/api/v1/agents",
                body=given(
                    {
                        "aiDisclosureMessage": ai_disclosure_message,
                        "analysisConfig": analysis_config,
                        "backgroundSound": background_sound,
                        "channels": channels,
                        "costTracking": cost_tracking,
                        "description": description,
                        "dtmfEnabled": dtmf_enabled,
                        "endCallPhrases": end_call_phrases,
                        "endpointing": endpointing,
                        "fallbacks": fallbacks,
                        "fillers": fillers,
                        "firstMessage": first_message,
                        "firstMessageMode": first_message_mode,
                        "hipaaCompliant": hipaa_compliant,
                        "interruption": interruption,
                        "knowledgeBaseIds": knowledge_base_ids,
                        "llm": llm,
                        "maxDurationSeconds": max_duration_seconds,
                        "maxIdleTimeSeconds": max_idle_time_seconds,
                        "name": name,
                        "persona": persona,
                        "pronunciations": pronunciations,
                        "recording": recording,
                        "silenceDetection": silence_detection,
                        "systemPromptTemplate": system_prompt_template,
                        "tags": tags,
                        "tools": tools,
                        "transcription": transcription,
                        "transfer": transfer,
                        "variables": variables,
                        "voice": voice,
                        "voicemailDetection": voicemail_detection,
                        "widget": widget,
                    }
                ),
                opaque=frozenset(["config", "responseMapping", "theme", "uiConfig", "variables"]),
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    def deactivate(
        self, agent_id: str, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> models.Agent:
        """Refuse an agent new calls; those in progress go on. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return self._send(
            Call(
                operation="agents.deactivate",
                method="POST",
                path="/api/v1/agents/{agentId}/deactivate",
                path_values={"agentId": agent_id},
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    def delete(self, agent_id: str, *, if_match: str | None = None) -> None:
        """Delete an agent for good; its phone numbers are free again. Its conversations are kept. Needs the scope
        `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        self._send(
            Call(
                operation="agents.delete",
                method="DELETE",
                path="/api/v1/agents/{agentId}",
                path_values={"agentId": agent_id},
                headers={"If-Match": if_match},
            )
        )

    def duplicate(
        self, agent_id: str, *, name: str | Unset | None = UNSET, idempotency_key: str | None = None
    ) -> models.Agent:
        """Copy an agent with all its settings; the copy is inactive. Needs the scope `agents:write`."""
        return self._send(
            Call(
                operation="agents.duplicate",
                method="POST",
                path="/api/v1/agents/{agentId}/duplicate",
                path_values={"agentId": agent_id},
                body=given({"name": name}) or UNSET,
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    def get(self, agent_id: str) -> models.Agent:
        """Get an agent. Its `ETag` goes into the `If-Match` of a later change. Needs the scope `agents:read`."""
        return self._send(
            Call(
                operation="agents.get",
                method="GET",
                path="/api/v1/agents/{agentId}",
                path_values={"agentId": agent_id},
                answer=models.Agent,
            )
        )

    def get_test(self, agent_id: str, test_session_id: str) -> models.Test:
        """Get a test: where it stands, and its conversation. Needs the scope `agents:read`."""
        return self._send(
            Call(
                operation="agents.get_test",
                method="GET",
                path="/api/v1/agents/{agentId}/tests/{testSessionId}",
                path_values={"agentId": agent_id, "testSessionId": test_session_id},
                answer=models.Test,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        status: Literal["draft", "active", "inactive"] | None = None,
        search: str | None = None,
        tags: str | Sequence[str] | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> PagedList[models.Agent]:
        """List agents, newest first unless asked otherwise. Needs the scope `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            status: Only agents in this status
            search: Only agents whose name contains this
            tags: Only agents with all these tags, comma-separated
            sort_by: name, createdAt or updatedAt
            sort_order: asc or desc
        """
        return PagedList(
            Call(
                operation="agents.list",
                method="GET",
                path="/api/v1/agents",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "status": status,
                    "search": search,
                    "tags": tags,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.Agent,
            self._send,
        )

    def publish(
        self,
        agent_id: str,
        *,
        notes: str | Unset | None = UNSET,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Agent:
        """Make the current version the one that talks. It never changes again; publishing it once more changes
        nothing. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return self._send(
            Call(
                operation="agents.publish",
                method="POST",
                path="/api/v1/agents/{agentId}/publish",
                path_values={"agentId": agent_id},
                body=given({"notes": notes}) or UNSET,
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    def restore(
        self, agent_id: str, number: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> models.Agent:
        """Go back to the configuration of an earlier version, as the agent's next version. What is published stays
        published. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return self._send(
            Call(
                operation="agents.restore",
                method="POST",
                path="/api/v1/agents/{agentId}/versions/{number}/restore",
                path_values={"agentId": agent_id, "number": number},
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    def stats(
        self,
        agent_id: str,
        *,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
    ) -> models.AgentStats:
        """Sum up an agent's conversations that started in a period: of its whole life when no dates are given. Needs
        the scope `agents:read`.

        Args:
            date_from: The first day or moment, in ISO 8601; inclusive
            date_to: The last day or moment, in ISO 8601; inclusive
        """
        return self._send(
            Call(
                operation="agents.stats",
                method="GET",
                path="/api/v1/agents/{agentId}/stats",
                path_values={"agentId": agent_id},
                query={"dateFrom": date_from, "dateTo": date_to},
                answer=models.AgentStats,
            )
        )

    def test(
        self,
        agent_id: str,
        *,
        channel: Literal["phone", "webrtc", "webchat", "sms", "whatsapp", "telegram"],
        metadata: Mapping[str, Any] | Unset = UNSET,
        phone_number: str | Unset | None = UNSET,
        script: Sequence[str] | Unset = UNSET,
        version: int | str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.TestStarted:
        """Try an agent out, also a draft or an inactive one. Where no carrier is involved, and on every channel in the
        sandbox, a simulated caller talks with it; the conversation has a transcript, a recording and costs like any
        other, and is marked in its metadata. By phone an agent that has a number in the sandbox calls over a
        simulated carrier. With a live key a test by phone calls `phoneNumber` from the agent's number, at any hour,
        and one by sms, whatsapp or telegram sends it the agent's first message; this needs the scope `calls:write`
        or `conversations:write`. 409 `carrier-not-configured` when the agent has no number or account there, and
        whatever `/outbound-calls` and `/messages` refuse. Needs the scope `agents:write`.
        """
        return self._send(
            Call(
                operation="agents.test",
                method="POST",
                path="/api/v1/agents/{agentId}/test",
                path_values={"agentId": agent_id},
                body=given(
                    {
                        "channel": channel,
                        "metadata": metadata,
                        "phoneNumber": phone_number,
                        "script": script,
                        "version": version,
                    }
                ),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.TestStarted,
            )
        )

    def tests(
        self, agent_id: str, *, page: int | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> PagedList[models.Test]:
        """List an agent's tests, newest first. Needs the scope `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return PagedList(
            Call(
                operation="agents.tests",
                method="GET",
                path="/api/v1/agents/{agentId}/tests",
                path_values={"agentId": agent_id},
                query={"page": page, "pageSize": page_size, "cursor": cursor},
                answer=Any,
            ),
            models.Test,
            self._send,
        )

    def update(
        self,
        agent_id: str,
        *,
        ai_disclosure_message: str | Unset | None = UNSET,
        analysis_config: Mapping[str, Any] | Unset = UNSET,
        background_sound: Literal["none", "office", "cafe", "call_center"] | Unset = UNSET,
        channels: Mapping[str, Any] | Unset = UNSET,
        cost_tracking: Mapping[str, Any] | Unset = UNSET,
        description: str | Unset | None = UNSET,
        dtmf_enabled: bool | Unset = UNSET,
        end_call_phrases: Sequence[str] | Unset = UNSET,
        endpointing: Mapping[str, Any] | Unset = UNSET,
        fallbacks: Mapping[str, Any] | Unset = UNSET,
        fillers: Mapping[str, Any] | Unset = UNSET,
        first_message: str | Unset | None = UNSET,
        first_message_mode: Literal["assistant_speaks_first", "wait_for_user"] | Unset = UNSET,
        hipaa_compliant: bool | Unset = UNSET,
        interruption: Mapping[str, Any] | Unset = UNSET,
        knowledge_base_ids: Sequence[str] | Unset = UNSET,
        llm: Mapping[str, Any] | Unset = UNSET,
        max_duration_seconds: int | Unset = UNSET,
        max_idle_time_seconds: int | Unset = UNSET,
        name: str | Unset = UNSET,
        persona: Mapping[str, Any] | Unset = UNSET,
        pronunciations: Sequence[Mapping[str, Any]] | Unset = UNSET,
        recording: Mapping[str, Any] | Unset = UNSET,
        silence_detection: Mapping[str, Any] | Unset = UNSET,
        system_prompt_template: str | Unset = UNSET,
        tags: Sequence[str] | Unset = UNSET,
        tools: Sequence[Mapping[str, Any]] | Unset = UNSET,
        transcription: Mapping[str, Any] | Unset = UNSET,
        transfer: Mapping[str, Any] | Unset = UNSET,
        variables: Mapping[str, Any] | Unset = UNSET,
        voice: Mapping[str, Any] | Unset = UNSET,
        voicemail_detection: Mapping[str, Any] | Unset = UNSET,
        widget: Mapping[str, Any] | Unset = UNSET,
        if_match: str | None = None,
    ) -> models.Agent:
        """Change an agent by a JSON merge patch: nested objects merge, null clears a field, arrays are replaced. Every
        patch makes the next version, also one that changes nothing. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return self._send(
            Call(
                operation="agents.update",
                method="PATCH",
                path="/api/v1/agents/{agentId}",
                path_values={"agentId": agent_id},
                body=given(
                    {
                        "aiDisclosureMessage": ai_disclosure_message,
                        "analysisConfig": analysis_config,
                        "backgroundSound": background_sound,
                        "channels": channels,
                        "costTracking": cost_tracking,
                        "description": description,
                        "dtmfEnabled": dtmf_enabled,
                        "endCallPhrases": end_call_phrases,
                        "endpointing": endpointing,
                        "fallbacks": fallbacks,
                        "fillers": fillers,
                        "firstMessage": first_message,
                        "firstMessageMode": first_message_mode,
                        "hipaaCompliant": hipaa_compliant,
                        "interruption": interruption,
                        "knowledgeBaseIds": knowledge_base_ids,
                        "llm": llm,
                        "maxDurationSeconds": max_duration_seconds,
                        "maxIdleTimeSeconds": max_idle_time_seconds,
                        "name": name,
                        "persona": persona,
                        "pronunciations": pronunciations,
                        "recording": recording,
                        "silenceDetection": silence_detection,
                        "systemPromptTemplate": system_prompt_template,
                        "tags": tags,
                        "tools": tools,
                        "transcription": transcription,
                        "transfer": transfer,
                        "variables": variables,
                        "voice": voice,
                        "voicemailDetection": voicemail_detection,
                        "widget": widget,
                    }
                ),
                opaque=frozenset(["config", "responseMapping", "theme", "uiConfig", "variables"]),
                headers={"If-Match": if_match},
                answer=models.Agent,
            )
        )

    def version(self, agent_id: str, number: int) -> models.VersionDetail:
        """Get one version of an agent, with its configuration. Needs the scope `agents:read`."""
        return self._send(
            Call(
                operation="agents.version",
                method="GET",
                path="/api/v1/agents/{agentId}/versions/{number}",
                path_values={"agentId": agent_id, "number": number},
                answer=models.VersionDetail,
            )
        )

    def versions(self, agent_id: str) -> models.VersionList:
        """List an agent's versions, newest first. Needs the scope `agents:read`."""
        return self._send(
            Call(
                operation="agents.versions",
                method="GET",
                path="/api/v1/agents/{agentId}/versions",
                path_values={"agentId": agent_id},
                answer=models.VersionList,
            )
        )


class AnalysisResource:
    """`client.analysis`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def failures(
        self, *, page: int | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> PagedList[models.Failure]:
        """List the analyses that were given up, the latest first. Needs the scope `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return PagedList(
            Call(
                operation="analysis.failures",
                method="GET",
                path="/api/v1/analysis/failures",
                query={"page": page, "pageSize": page_size, "cursor": cursor},
                answer=Any,
            ),
            models.Failure,
            self._send,
        )


class ApiKeysResource:
    """`client.api_keys`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self,
        *,
        name: str,
        scopes: Sequence[str],
        expires_at: str | datetime | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.NewApiKey:
        """Create a key in the environment of your credential. Its text is in this answer and never again. Needs the
        scope `keys:write`.
        """
        return self._send(
            Call(
                operation="api_keys.create",
                method="POST",
                path="/api/v1/api-keys",
                body=given({"expiresAt": expires_at, "name": name, "scopes": scopes}),
                idempotency_key=idempotency_key,
                answer=models.NewApiKey,
            )
        )

    def get(self, key_id: str) -> models.ApiKey:
        """One key, without its text. Needs the scope `keys:read`."""
        return self._send(
            Call(
                operation="api_keys.get",
                method="GET",
                path="/api/v1/api-keys/{keyId}",
                path_values={"keyId": key_id},
                answer=models.ApiKey,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        status: Literal["active", "expired", "revoked"] | None = None,
        scope: str | None = None,
        search: str | None = None,
        sort_by: Literal["createdAt", "name", "lastUsedAt", "expiresAt"] | None = None,
        sort_order: str | None = None,
    ) -> PagedList[models.ApiKey]:
        """List keys, newest first, without their texts. Needs the scope `keys:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            scope: Only with it
            search: Part of the name or of the key's beginning
            sort_by: What lists sort by, as the query names it.
        """
        return PagedList(
            Call(
                operation="api_keys.list",
                method="GET",
                path="/api/v1/api-keys",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "status": status,
                    "scope": scope,
                    "search": search,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.ApiKey,
            self._send,
        )

    def rename(self, key_id: str, *, name: str) -> models.ApiKey:
        """Give a key another name. What it may do never changes. Needs the scope `keys:write`."""
        return self._send(
            Call(
                operation="api_keys.rename",
                method="PATCH",
                path="/api/v1/api-keys/{keyId}",
                path_values={"keyId": key_id},
                body=given({"name": name}),
                answer=models.ApiKey,
            )
        )

    def revoke(self, key_id: str) -> None:
        """Revoke a key, in force within five seconds. Needs the scope `keys:write`."""
        self._send(
            Call(
                operation="api_keys.revoke",
                method="DELETE",
                path="/api/v1/api-keys/{keyId}",
                path_values={"keyId": key_id},
            )
        )

    def rotate(
        self, key_id: str, *, overlap_seconds: int | Unset = UNSET, idempotency_key: str | None = None
    ) -> models.NewApiKey:
        """Get a new key with the same name and scopes. The old one stays good for the overlap, a day unless you say
        otherwise. Needs the scope `keys:write`.
        """
        return self._send(
            Call(
                operation="api_keys.rotate",
                method="POST",
                path="/api/v1/api-keys/{keyId}/rotate",
                path_values={"keyId": key_id},
                body=given({"overlapSeconds": overlap_seconds}),
                idempotency_key=idempotency_key,
                answer=models.NewApiKey,
            )
        )


class AuditLogResource:
    """`client.audit_log`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        actor_id: str | None = None,
        action: str | None = None,
        target_type: str | None = None,
        target_id: str | None = None,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
    ) -> PagedList[models.AuditEntry]:
        """List what was done in this environment and by whom, newest first. Needs the scope `audit:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            actor_id: Only this user's or key's
            action: Only this, such as conversation.deleted
            target_type: Only to such things
            target_id: Only to this thing
            date_from: On or after; ISO 8601
            date_to: On or before; ISO 8601
        """
        return PagedList(
            Call(
                operation="audit_log.list",
                method="GET",
                path="/api/v1/audit-log",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "actorId": actor_id,
                    "action": action,
                    "targetType": target_type,
                    "targetId": target_id,
                    "dateFrom": date_from,
                    "dateTo": date_to,
                },
                answer=Any,
            ),
            models.AuditEntry,
            self._send,
        )


class AuthResource:
    """`client.auth`."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self.mfa = AuthMfaResource(send)

    def accept_invitation(
        self,
        *,
        password: str,
        token: str,
        first_name: str | Unset | None = UNSET,
        last_name: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Login:
        """Join a tenant with the link from the mail and a password of your own; you are logged in then."""
        return self._send(
            Call(
                operation="auth.accept_invitation",
                method="POST",
                path="/api/v1/auth/invitations/accept",
                body=given({"firstName": first_name, "lastName": last_name, "password": password, "token": token}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    def ask_to_unlock(self, *, email: str, idempotency_key: str | None = None) -> None:
        """Get a link by mail that ends the lock after wrong passwords. The answer is always the same."""
        self._send(
            Call(
                operation="auth.ask_to_unlock",
                method="POST",
                path="/api/v1/auth/unlock/request",
                body=given({"email": email}),
                idempotency_key=idempotency_key,
            )
        )

    def change_environment(
        self,
        *,
        environment: Literal["live", "sandbox"],
        refresh_token: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Environment:
        """Go on in the other environment. With the refresh token the whole log-in moves there; without, you get an
        access token.
        """
        return self._send(
            Call(
                operation="auth.change_environment",
                method="POST",
                path="/api/v1/auth/environment",
                body=given({"environment": environment, "refreshToken": refresh_token}),
                idempotency_key=idempotency_key,
                answer=models.Environment,
            )
        )

    def change_password(
        self, *, current_password: str, new_password: str, idempotency_key: str | None = None
    ) -> models.Login:
        """Change your password. All log-ins end, and you get a new one."""
        return self._send(
            Call(
                operation="auth.change_password",
                method="POST",
                path="/api/v1/auth/password",
                body=given({"currentPassword": current_password, "newPassword": new_password}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    def confirm_registration(self, *, token: str, idempotency_key: str | None = None) -> models.Login:
        """Confirm the address with the link from the mail: the tenant is made, and you are logged in."""
        return self._send(
            Call(
                operation="auth.confirm_registration",
                method="POST",
                path="/api/v1/auth/register/confirm",
                body=given({"token": token}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    def forgot(self, *, email: str, idempotency_key: str | None = None) -> None:
        """Get a link to a new password by mail. The answer is the same whether anybody has this address."""
        self._send(
            Call(
                operation="auth.forgot",
                method="POST",
                path="/api/v1/auth/password/forgot",
                body=given({"email": email}),
                idempotency_key=idempotency_key,
            )
        )

    def hub_token(
        self,
        *,
        agent_id: str | Unset | None = UNSET,
        session_id: str | Unset | None = UNSET,
        ttl_seconds: int | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.HubToken:
        """Get a token for the hubs, which take no API key; optionally bound to one agent or session."""
        return self._send(
            Call(
                operation="auth.hub_token",
                method="POST",
                path="/api/v1/auth/hub-token",
                body=given({"agentId": agent_id, "sessionId": session_id, "ttlSeconds": ttl_seconds}),
                idempotency_key=idempotency_key,
                answer=models.HubToken,
            )
        )

    def login(
        self,
        *,
        email: str,
        password: str,
        environment: Literal["live", "sandbox"] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Login | models.MfaRequired:
        """Log in with email and password: an access token for a quarter of an hour, and a refresh token to get the
        next; or a token to complete the log-in with, when a second factor is set up.
        """
        return self._send(
            Call(
                operation="auth.login",
                method="POST",
                path="/api/v1/auth/login",
                body=given({"email": email, "environment": environment, "password": password}),
                idempotency_key=idempotency_key,
                answer=models.Login | models.MfaRequired,
            )
        )

    def logout(self, *, refresh_token: str, idempotency_key: str | None = None) -> None:
        """End a log-in: its refresh tokens are no good any more. Access tokens run out by themselves."""
        self._send(
            Call(
                operation="auth.logout",
                method="POST",
                path="/api/v1/auth/logout",
                body=given({"refreshToken": refresh_token}),
                idempotency_key=idempotency_key,
            )
        )

    def logout_everywhere(self, *, idempotency_key: str | None = None) -> None:
        """End all your log-ins, this one too: refresh tokens at once, access tokens within seconds."""
        self._send(
            Call(
                operation="auth.logout_everywhere",
                method="POST",
                path="/api/v1/auth/logout/all",
                idempotency_key=idempotency_key,
            )
        )

    def look_at_invitation(self, *, token: str, idempotency_key: str | None = None) -> models.Invitation:
        """What an invitation is for. It stays good."""
        return self._send(
            Call(
                operation="auth.look_at_invitation",
                method="POST",
                path="/api/v1/auth/invitations/look",
                body=given({"token": token}),
                idempotency_key=idempotency_key,
                answer=models.Invitation,
            )
        )

    def me(self) -> models.User:
        """Who is logged in."""
        return self._send(Call(operation="auth.me", method="GET", path="/api/v1/auth/me", answer=models.User))

    def refresh(self, *, refresh_token: str, idempotency_key: str | None = None) -> models.Login:
        """Exchange a refresh token for a new pair. Each is good once; using one a second time ends the log-in."""
        return self._send(
            Call(
                operation="auth.refresh",
                method="POST",
                path="/api/v1/auth/refresh",
                body=given({"refreshToken": refresh_token}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    def register(
        self,
        *,
        company_name: str,
        email: str,
        first_name: str,
        password: str,
        last_name: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> None:
        """Register. You get a mail with a link that opens the account; the answer is the same for an address that has
        one.
        """
        self._send(
            Call(
                operation="auth.register",
                method="POST",
                path="/api/v1/auth/register",
                body=given(
                    {
                        "companyName": company_name,
                        "email": email,
                        "firstName": first_name,
                        "lastName": last_name,
                        "password": password,
                    }
                ),
                idempotency_key=idempotency_key,
            )
        )

    def rename(self, *, first_name: str | Unset = UNSET, last_name: str | Unset = UNSET) -> models.User:
        """Change your own names."""
        return self._send(
            Call(
                operation="auth.rename",
                method="PATCH",
                path="/api/v1/auth/me",
                body=given({"firstName": first_name, "lastName": last_name}),
                answer=models.User,
            )
        )

    def reset(self, *, password: str, token: str, idempotency_key: str | None = None) -> None:
        """Choose a new password with the link from the mail. All log-ins end; a second factor is asked for as before."""
        self._send(
            Call(
                operation="auth.reset",
                method="POST",
                path="/api/v1/auth/password/reset",
                body=given({"password": password, "token": token}),
                idempotency_key=idempotency_key,
            )
        )

    def unlock(self, *, token: str, idempotency_key: str | None = None) -> None:
        """End the lock after wrong passwords with the link from the mail."""
        self._send(
            Call(
                operation="auth.unlock",
                method="POST",
                path="/api/v1/auth/unlock",
                body=given({"token": token}),
                idempotency_key=idempotency_key,
            )
        )


class ChannelsResource:
    """`client.channels`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self,
        *,
        agent_id: str,
        channel: Literal["whatsapp", "telegram"],
        credential_id: str | Unset | None = UNSET,
        settings: Mapping[str, Any] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Channel:
        """Connect an account with an agent. The network is asked who the account is, and told to post its messages
        here. 409 `channel-taken` when the address is connected already, `credential-refused` when the network does
        not know the key; 403 `platform-channel` without a credential, unless the caller is the platform's operator.
        Needs the scope `telephony:write`.
        """
        return self._send(
            Call(
                operation="channels.create",
                method="POST",
                path="/api/v1/channels",
                body=given(
                    {"agentId": agent_id, "channel": channel, "credentialId": credential_id, "settings": settings}
                ),
                idempotency_key=idempotency_key,
                answer=models.Channel,
            )
        )

    def delete(self, channel_id: str) -> None:
        """Disconnect an account: nobody answers there any more, and the network is told to post nothing. What was
        written stays. Needs the scope `telephony:write`.
        """
        self._send(
            Call(
                operation="channels.delete",
                method="DELETE",
                path="/api/v1/channels/{channelId}",
                path_values={"channelId": channel_id},
            )
        )

    def get(self, channel_id: str) -> models.Channel:
        """One connection. Needs the scope `telephony:read`."""
        return self._send(
            Call(
                operation="channels.get",
                method="GET",
                path="/api/v1/channels/{channelId}",
                path_values={"channelId": channel_id},
                answer=models.Channel,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        channel: Literal["whatsapp", "telegram"] | None = None,
        agent_id: str | None = None,
    ) -> PagedList[models.Channel]:
        """List connections, newest first. Needs the scope `telephony:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return PagedList(
            Call(
                operation="channels.list",
                method="GET",
                path="/api/v1/channels",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "channel": channel, "agentId": agent_id},
                answer=Any,
            ),
            models.Channel,
            self._send,
        )

    def update(
        self, channel_id: str, *, agent_id: str | Unset = UNSET, settings: Mapping[str, Any] | Unset = UNSET
    ) -> models.Channel:
        """Let another agent answer, which ends running conversations with the next message, or change the settings.
        Needs the scope `telephony:write`.
        """
        return self._send(
            Call(
                operation="channels.update",
                method="PATCH",
                path="/api/v1/channels/{channelId}",
                path_values={"channelId": channel_id},
                body=given({"agentId": agent_id, "settings": settings}),
                answer=models.Channel,
            )
        )

    def verify(self, channel_id: str, *, idempotency_key: str | None = None) -> models.Channel:
        """Ask the network where it posts messages; if not here, it is told to. Needs the scope `telephony:write`."""
        return self._send(
            Call(
                operation="channels.verify",
                method="POST",
                path="/api/v1/channels/{channelId}/verify",
                path_values={"channelId": channel_id},
                idempotency_key=idempotency_key,
                answer=models.Channel,
            )
        )


class ContactsResource:
    """`client.contacts`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def delete(self, contact_id: str) -> None:
        """Forget somebody: all they are known by, their threads and messages. Conversations are deleted one by one.
        Who wanted no messages gets none afterwards either: of that only a digest of the address is kept. Needs the
        scope `conversations:delete`.
        """
        self._send(
            Call(
                operation="contacts.delete",
                method="DELETE",
                path="/api/v1/contacts/{contactId}",
                path_values={"contactId": contact_id},
            )
        )

    def get(self, contact_id: str) -> models.Contact:
        """One contact, with all it is known by and where it wants no messages. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="contacts.get",
                method="GET",
                path="/api/v1/contacts/{contactId}",
                path_values={"contactId": contact_id},
                answer=models.Contact,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        search: str | None = None,
        phone_number: str | None = None,
    ) -> PagedList[models.Contact]:
        """List contacts, those first who were there last. Needs the scope `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: A part of the name, or the beginning of a number or id
            phone_number: In E.164 form
        """
        return PagedList(
            Call(
                operation="contacts.list",
                method="GET",
                path="/api/v1/contacts",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "search": search,
                    "phoneNumber": phone_number,
                },
                answer=Any,
            ),
            models.Contact,
            self._send,
        )

    def update(
        self,
        contact_id: str,
        *,
        language: str | Unset = UNSET,
        name: str | Unset = UNSET,
        notes: str | Unset = UNSET,
        opted_out: Mapping[str, Any] | Unset = UNSET,
    ) -> models.Contact:
        """Say who somebody is, or that they want no messages on a channel, or want them again. Needs the scope
        `conversations:write`.
        """
        return self._send(
            Call(
                operation="contacts.update",
                method="PATCH",
                path="/api/v1/contacts/{contactId}",
                path_values={"contactId": contact_id},
                body=given({"language": language, "name": name, "notes": notes, "optedOut": opted_out}),
                answer=models.Contact,
            )
        )


class ConversationsResource:
    """`client.conversations`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def add_tags(
        self, conversation_id: str, *, tags: Sequence[str], idempotency_key: str | None = None
    ) -> models.Conversation:
        """Add tags; those that are there stay. Needs the scope `conversations:write`."""
        return self._send(
            Call(
                operation="conversations.add_tags",
                method="POST",
                path="/api/v1/conversations/{conversationId}/tags",
                path_values={"conversationId": conversation_id},
                body=given({"tags": tags}),
                idempotency_key=idempotency_key,
                answer=models.Conversation,
            )
        )

    def analysis(self, conversation_id: str) -> models.Analysis:
        """Get the analysis, which is there a few seconds after the end. 404 `analysis-not-available` says why there is
        none. Needs the scope `conversations:read`.
        """
        return self._send(
            Call(
                operation="conversations.analysis",
                method="GET",
                path="/api/v1/conversations/{conversationId}/analysis",
                path_values={"conversationId": conversation_id},
                answer=models.Analysis,
            )
        )

    def archive(self, conversation_id: str, *, idempotency_key: str | None = None) -> models.Conversation:
        """Take a conversation out of the lists; it stays as it is and can be read by its id. Needs the scope
        `conversations:write`.
        """
        return self._send(
            Call(
                operation="conversations.archive",
                method="POST",
                path="/api/v1/conversations/{conversationId}/archive",
                path_values={"conversationId": conversation_id},
                idempotency_key=idempotency_key,
                answer=models.Conversation,
            )
        )

    def costs(self, conversation_id: str) -> models.Costs:
        """Get what a conversation cost, part by part. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="conversations.costs",
                method="GET",
                path="/api/v1/conversations/{conversationId}/costs",
                path_values={"conversationId": conversation_id},
                answer=models.Costs,
            )
        )

    def delete(self, conversation_id: str) -> None:
        """Delete a conversation, its transcript and its recording for good. Needs the scopes `conversations:write` and
        `conversations:delete`.
        """
        self._send(
            Call(
                operation="conversations.delete",
                method="DELETE",
                path="/api/v1/conversations/{conversationId}",
                path_values={"conversationId": conversation_id},
            )
        )

    def get(self, conversation_id: str) -> models.Conversation:
        """Get a conversation. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="conversations.get",
                method="GET",
                path="/api/v1/conversations/{conversationId}",
                path_values={"conversationId": conversation_id},
                answer=models.Conversation,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        agent_id: str | None = None,
        channel: Literal["phone", "webrtc", "webchat", "sms", "whatsapp", "telegram"] | None = None,
        status: Literal["in_progress", "completed", "failed", "abandoned"] | None = None,
        direction: Literal["inbound", "outbound"] | None = None,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
        outcome: str | None = None,
        tags: str | Sequence[str] | None = None,
        min_duration: int | None = None,
        max_duration: int | None = None,
        archived: Any | None = None,
        sort_by: Any | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> PagedList[models.Conversation]:
        """List conversations, newest first unless asked otherwise. Needs the scope `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            agent_id: Only this agent's
            channel: Only on this channel
            status: Only in this status
            direction: inbound or outbound
            date_from: Started on or after; ISO 8601
            date_to: Started on or before; ISO 8601
            outcome: Only with this outcome
            tags: Only with all these tags, comma-separated
            min_duration: At least so many seconds long
            max_duration: At most so many seconds long
            archived: Only those that were not archived, only those that were, or all
            sort_by: By time or by duration
            sort_order: Ascending or descending
        """
        return PagedList(
            Call(
                operation="conversations.list",
                method="GET",
                path="/api/v1/conversations",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "agentId": agent_id,
                    "channel": channel,
                    "status": status,
                    "direction": direction,
                    "dateFrom": date_from,
                    "dateTo": date_to,
                    "outcome": outcome,
                    "tags": tags,
                    "minDuration": min_duration,
                    "maxDuration": max_duration,
                    "archived": archived,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.Conversation,
            self._send,
        )

    def messages(self, conversation_id: str) -> models.Messages:
        """Get what was said, turn by turn; also while the conversation goes on. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="conversations.messages",
                method="GET",
                path="/api/v1/conversations/{conversationId}/messages",
                path_values={"conversationId": conversation_id},
                answer=models.Messages,
            )
        )

    def recording(self, conversation_id: str) -> models.RecordingLink:
        """Get a link to the recording, good for an hour. 404 `recording-not-available` says why there is none. `parts`
        also has what the carrier recorded after the call was handed over, where the agent's
        `recording.afterTransfer` asks for it. Needs the scope `conversations:read`.
        """
        return self._send(
            Call(
                operation="conversations.recording",
                method="GET",
                path="/api/v1/conversations/{conversationId}/recording",
                path_values={"conversationId": conversation_id},
                answer=models.RecordingLink,
            )
        )

    def remove_tag(self, conversation_id: str, tag: str) -> None:
        """Remove a tag. Needs the scope `conversations:write`."""
        self._send(
            Call(
                operation="conversations.remove_tag",
                method="DELETE",
                path="/api/v1/conversations/{conversationId}/tags/{tag}",
                path_values={"conversationId": conversation_id, "tag": tag},
            )
        )

    def retry_analysis(self, conversation_id: str, *, idempotency_key: str | None = None) -> models.AnalysisState:
        """Analyse the conversation once more, after a failure or to replace what was found. Needs the scope
        `conversations:write`.
        """
        return self._send(
            Call(
                operation="conversations.retry_analysis",
                method="POST",
                path="/api/v1/conversations/{conversationId}/analysis/retry",
                path_values={"conversationId": conversation_id},
                idempotency_key=idempotency_key,
                answer=models.AnalysisState,
            )
        )

    def set_outcome(
        self, conversation_id: str, *, outcome: str, notes: str | Unset | None = UNSET
    ) -> models.Conversation:
        """Say how a conversation turned out. Needs the scope `conversations:write`."""
        return self._send(
            Call(
                operation="conversations.set_outcome",
                method="PUT",
                path="/api/v1/conversations/{conversationId}/outcome",
                path_values={"conversationId": conversation_id},
                body=given({"notes": notes, "outcome": outcome}),
                answer=models.Conversation,
            )
        )

    def transcript(self, conversation_id: str) -> models.ConversationTranscript:
        """Get what was said with the time of every word. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="conversations.transcript",
                method="GET",
                path="/api/v1/conversations/{conversationId}/transcript",
                path_values={"conversationId": conversation_id},
                answer=models.ConversationTranscript,
            )
        )

    def transfer(
        self,
        conversation_id: str,
        *,
        mode: Literal["cold", "warm"] | Unset | None = UNSET,
        phone_number: str | Unset | None = UNSET,
        ring_seconds: int | Unset | None = UNSET,
        sip_uri: str | Unset | None = UNSET,
        summary: str | Unset | None = UNSET,
        target: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.TransferStarted:
        """Hand a telephone call that goes on over to somebody. 409 `not-transferable` for anything else, `transfer-in-
        progress` while another transfer of the call is under way; 404 `transfer-target-not-found` for a target that
        the agent has not; 422 `number-not-allowed` for premium-rate numbers and their like, `country-not-allowed`
        for countries that are neither those of the tenant's numbers nor in `allowedCountries` of PUT
        /api/v1/outbound-calls/settings; agents have no such targets either. Needs the scope `conversations:write`.
        """
        return self._send(
            Call(
                operation="conversations.transfer",
                method="POST",
                path="/api/v1/conversations/{conversationId}/transfer",
                path_values={"conversationId": conversation_id},
                body=given(
                    {
                        "mode": mode,
                        "phoneNumber": phone_number,
                        "ringSeconds": ring_seconds,
                        "sipUri": sip_uri,
                        "summary": summary,
                        "target": target,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.TransferStarted,
            )
        )

    def transfers(self, conversation_id: str) -> models.Transfers:
        """Get what became of a call's transfers. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="conversations.transfers",
                method="GET",
                path="/api/v1/conversations/{conversationId}/transfers",
                path_values={"conversationId": conversation_id},
                answer=models.Transfers,
            )
        )

    def unarchive(self, conversation_id: str, *, idempotency_key: str | None = None) -> models.Conversation:
        """Put an archived conversation back into the lists. Needs the scope `conversations:write`."""
        return self._send(
            Call(
                operation="conversations.unarchive",
                method="POST",
                path="/api/v1/conversations/{conversationId}/unarchive",
                path_values={"conversationId": conversation_id},
                idempotency_key=idempotency_key,
                answer=models.Conversation,
            )
        )


class DoNotCallResource:
    """`client.do_not_call`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self,
        *,
        phone_number: str,
        reason: str | Unset | None = UNSET,
        source: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.DoNotCall:
        """Put a number on the list: calls to it are refused, and those that wait are not placed. One that is there
        stays as it is. Needs the scope `calls:write`.

        Args:
            phone_number: In E.164 form
            source: Where it comes from, such as `manual` or `crm`
        """
        return self._send(
            Call(
                operation="do_not_call.create",
                method="POST",
                path="/api/v1/do-not-call",
                body=given({"phoneNumber": phone_number, "reason": reason, "source": source}),
                idempotency_key=idempotency_key,
                answer=models.DoNotCall,
            )
        )

    def delete(self, phone_number: str) -> None:
        """Take a number off the list. Make sure that whoever it belongs to wants to be called. Needs the scope
        `calls:write`.
        """
        self._send(
            Call(
                operation="do_not_call.delete",
                method="DELETE",
                path="/api/v1/do-not-call/{phoneNumber}",
                path_values={"phoneNumber": phone_number},
            )
        )

    def get(self, phone_number: str) -> models.DoNotCall:
        """Whether a number is on the list: 404 when it is not. Needs the scope `calls:read`."""
        return self._send(
            Call(
                operation="do_not_call.get",
                method="GET",
                path="/api/v1/do-not-call/{phoneNumber}",
                path_values={"phoneNumber": phone_number},
                answer=models.DoNotCall,
            )
        )

    def import_numbers(
        self,
        *,
        phone_numbers: Sequence[str],
        reason: str | Unset | None = UNSET,
        source: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.DoNotCallImported:
        """Put up to 10,000 numbers on the list at once: all of them or, where one is no number, none. Needs the scope
        `calls:write`.

        Args:
            source: Where it comes from, such as `manual` or `crm`
        """
        return self._send(
            Call(
                operation="do_not_call.import_numbers",
                method="POST",
                path="/api/v1/do-not-call/import",
                body=given({"phoneNumbers": phone_numbers, "reason": reason, "source": source}),
                idempotency_key=idempotency_key,
                answer=models.DoNotCallImported,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        search: str | None = None,
        source: str | None = None,
    ) -> PagedList[models.DoNotCall]:
        """List the numbers, newest first. Needs the scope `calls:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: Only numbers that contain this
            source: Only from this source
        """
        return PagedList(
            Call(
                operation="do_not_call.list",
                method="GET",
                path="/api/v1/do-not-call",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "search": search, "source": source},
                answer=Any,
            ),
            models.DoNotCall,
            self._send,
        )


class MailResource:
    """`client.mail`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        kind: Literal[
            "invitation",
            "password_reset",
            "password_changed",
            "account_locked",
            "registration",
            "already_registered",
            "mfa_changed",
        ]
        | None = None,
        search: str | None = None,
        all_tenants: bool | None = None,
    ) -> PagedList[models.Mail]:
        """List mails to the tenant's people, newest first. Texts are there only while no mail server is set up. Needs
        the scope `users:write`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: Part of address or subject
            all_tenants: Of every tenant, for operators of the platform
        """
        return PagedList(
            Call(
                operation="mail.list",
                method="GET",
                path="/api/v1/mail",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "kind": kind,
                    "search": search,
                    "allTenants": all_tenants,
                },
                answer=Any,
            ),
            models.Mail,
            self._send,
        )


class MessagesResource:
    """`client.messages`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self,
        *,
        agent_id: str,
        channel: Literal["sms", "whatsapp", "telegram"],
        contact_id: str | Unset | None = UNSET,
        template: Mapping[str, Any] | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
        to: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Sent:
        """Have an agent write to somebody, by SMS from its number, by WhatsApp or Telegram from its connected account.
        It goes out within seconds; `GET /api/v1/messages/{id}` tells what became of it. On WhatsApp a text reaches
        only people who wrote within 24 hours: later it is held, or goes out as the connection's template. 409
        `opted-out` for who wants no messages. Needs the scope `conversations:write`.
        """
        return self._send(
            Call(
                operation="messages.create",
                method="POST",
                path="/api/v1/messages",
                body=given(
                    {
                        "agentId": agent_id,
                        "channel": channel,
                        "contactId": contact_id,
                        "template": template,
                        "text": text,
                        "to": to,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.Sent,
            )
        )

    def get(self, message_id: str) -> models.SentMessage:
        """One message, and what became of it. Needs the scope `conversations:read`."""
        return self._send(
            Call(
                operation="messages.get",
                method="GET",
                path="/api/v1/messages/{messageId}",
                path_values={"messageId": message_id},
                answer=models.SentMessage,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        conversation_id: str | None = None,
        thread_id: str | None = None,
        contact_id: str | None = None,
        agent_id: str | None = None,
        channel: Literal["sms", "whatsapp", "telegram"] | None = None,
        direction: Literal["inbound", "outbound"] | None = None,
        status: Literal[
            "received",
            "answered",
            "ignored",
            "queued",
            "held",
            "sending",
            "unconfirmed",
            "sent",
            "delivered",
            "read",
            "failed",
            "undeliverable",
        ]
        | None = None,
    ) -> PagedList[models.SentMessage]:
        """List messages: those of one conversation or thread in their order, others newest first. Needs the scope
        `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return PagedList(
            Call(
                operation="messages.list",
                method="GET",
                path="/api/v1/messages",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "conversationId": conversation_id,
                    "threadId": thread_id,
                    "contactId": contact_id,
                    "agentId": agent_id,
                    "channel": channel,
                    "direction": direction,
                    "status": status,
                },
                answer=Any,
            ),
            models.SentMessage,
            self._send,
        )


class ModelsResource:
    """`client.models`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        kind: Literal["llm", "stt", "tts"] | None = None,
        provider: str | None = None,
        language: str | None = None,
        search: str | None = None,
        available: bool | None = None,
    ) -> PagedList[models.Model]:
        """List the models that agents may name: language models, recognisers and voices' models, with what they can do
        and cost. Agents may name others too: the catalogue is as old as its `source`. Needs the scope
        `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only of this provider, such as openai
            language: Only for this language: a BCP 47 tag such as es-MX, or es
            search: Part of the id or the name
            available: Only what you can use now, or only what you can't
        """
        return PagedList(
            Call(
                operation="models.list",
                method="GET",
                path="/api/v1/models",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "kind": kind,
                    "provider": provider,
                    "language": language,
                    "search": search,
                    "available": available,
                },
                answer=Any,
            ),
            models.Model,
            self._send,
        )


class OutboundCallsResource:
    """`client.outbound_calls`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def batch(
        self,
        *,
        agent_id: str,
        calls: Sequence[Mapping[str, Any]],
        from_number: str | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        retry_delay_minutes: int | Unset = UNSET,
        scheduled_for: str | datetime | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.OutboundBatch:
        """Have an agent call up to 1,000 numbers, each with its own metadata. All rows or none: a wrong field refuses
        the batch (422 names the rows). Numbers on the do-not-call list are left out, and say so in their result.
        Needs the scope `calls:write`.

        Args:
            from_number: In E.164 form
            max_retries: How often somebody who does not answer is called again
        """
        return self._send(
            Call(
                operation="outbound_calls.batch",
                method="POST",
                path="/api/v1/outbound-calls/batch",
                body=given(
                    {
                        "agentId": agent_id,
                        "calls": calls,
                        "fromNumber": from_number,
                        "maxRetries": max_retries,
                        "metadata": metadata,
                        "retryDelayMinutes": retry_delay_minutes,
                        "scheduledFor": scheduled_for,
                    }
                ),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.OutboundBatch,
            )
        )

    def cancel(self, call_id: str, *, idempotency_key: str | None = None) -> models.OutboundCall:
        """Cancel a call that nobody has answered; one that rings stops ringing. 409 once somebody has, or when it is
        over. Needs the scope `calls:write`.
        """
        return self._send(
            Call(
                operation="outbound_calls.cancel",
                method="POST",
                path="/api/v1/outbound-calls/{callId}/cancel",
                path_values={"callId": call_id},
                idempotency_key=idempotency_key,
                answer=models.OutboundCall,
            )
        )

    def create(
        self,
        *,
        agent_id: str,
        to_number: str,
        from_number: str | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        retry_delay_minutes: int | Unset = UNSET,
        scheduled_for: str | datetime | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.OutboundCall:
        """Have an agent call somebody, now or at a time: within the calling hours of where the number is, when a slot
        is free. Who does not answer is called again `maxRetries` times, `retryDelayMinutes` after the call ended;
        the status is `scheduled` in between. 409 `number-on-do-not-call-list` for numbers that must not be called;
        422 `number-not-allowed` for premium-rate numbers and their like and for numbers that agents answer,
        `country-not-allowed` for countries that are neither those of the tenant's numbers nor allowed. Needs the
        scope `calls:write`.

        Args:
            from_number: In E.164 form
            max_retries: How often somebody who does not answer is called again
            to_number: In E.164 form
        """
        return self._send(
            Call(
                operation="outbound_calls.create",
                method="POST",
                path="/api/v1/outbound-calls",
                body=given(
                    {
                        "agentId": agent_id,
                        "fromNumber": from_number,
                        "maxRetries": max_retries,
                        "metadata": metadata,
                        "retryDelayMinutes": retry_delay_minutes,
                        "scheduledFor": scheduled_for,
                        "toNumber": to_number,
                    }
                ),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.OutboundCall,
            )
        )

    def get(self, call_id: str) -> models.OutboundCall:
        """Get a call. Needs the scope `calls:read`."""
        return self._send(
            Call(
                operation="outbound_calls.get",
                method="GET",
                path="/api/v1/outbound-calls/{callId}",
                path_values={"callId": call_id},
                answer=models.OutboundCall,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        status: Literal[
            "scheduled",
            "queued",
            "initiating",
            "ringing",
            "in_progress",
            "completed",
            "failed",
            "no_answer",
            "busy",
            "cancelled",
            "voicemail",
        ]
        | None = None,
        agent_id: str | None = None,
        to_number: str | None = None,
        campaign_id: str | None = None,
        batch_id: str | None = None,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
        sort_by: str | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> PagedList[models.OutboundCall]:
        """List calls, newest first unless asked otherwise. Needs the scope `calls:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            status: Only in this status
            agent_id: Only this agent's
            to_number: Only to this number
            campaign_id: Only with this `campaignId` in their metadata
            batch_id: Only of this batch
            date_from: Made on or after; ISO 8601
            date_to: Made on or before; ISO 8601
            sort_by: By time
            sort_order: Ascending or descending
        """
        return PagedList(
            Call(
                operation="outbound_calls.list",
                method="GET",
                path="/api/v1/outbound-calls",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "status": status,
                    "agentId": agent_id,
                    "toNumber": to_number,
                    "campaignId": campaign_id,
                    "batchId": batch_id,
                    "dateFrom": date_from,
                    "dateTo": date_to,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.OutboundCall,
            self._send,
        )

    def set_settings(
        self,
        *,
        allowed_countries: Sequence[str] | Unset = UNSET,
        calling_hours: Mapping[str, Any] | Unset | None = UNSET,
        default_ring_seconds: int | Unset = UNSET,
        machine_detection: Literal["off", "answer", "greeting"] | Unset = UNSET,
        max_concurrent: int | Unset = UNSET,
        statutory_hours: bool | Unset = UNSET,
    ) -> models.CallSettings:
        """Replace when and how calls are placed; what is left out gets its default. Holds for calls that wait, too.
        `machineDetection` is the carrier's, which it bills; our own listens in any case, as the agent's
        `voicemailDetection` says. Agents that want to know of no machines (`enabled: false`) are told of none.
        Needs the scope `calls:write`.
        """
        return self._send(
            Call(
                operation="outbound_calls.set_settings",
                method="PUT",
                path="/api/v1/outbound-calls/settings",
                body=given(
                    {
                        "allowedCountries": allowed_countries,
                        "callingHours": calling_hours,
                        "defaultRingSeconds": default_ring_seconds,
                        "machineDetection": machine_detection,
                        "maxConcurrent": max_concurrent,
                        "statutoryHours": statutory_hours,
                    }
                ),
                answer=models.CallSettings,
            )
        )

    def settings(self) -> models.CallSettings:
        """Get when and how calls are placed in this environment. Needs the scope `calls:read`."""
        return self._send(
            Call(
                operation="outbound_calls.settings",
                method="GET",
                path="/api/v1/outbound-calls/settings",
                answer=models.CallSettings,
            )
        )


class ProviderCredentialsResource:
    """`client.provider_credentials`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def create(
        self,
        *,
        name: str,
        provider: Literal[
            "openai",
            "openai_compatible",
            "anthropic",
            "google",
            "cohere",
            "deepgram",
            "assemblyai",
            "elevenlabs",
            "aws",
            "azure",
            "twilio",
            "vonage",
            "telnyx",
            "whatsapp",
            "telegram",
        ],
        secrets: Mapping[str, Any],
        is_default: bool | Unset = UNSET,
        options: Mapping[str, Any] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.ProviderCredential:
        """Keep your own access to a provider, sealed. Sessions of this environment use the provider's default one from
        now on. Secrets are never shown again, only the last four characters of each. Needs the scope `provider-
        credentials:write`.

        Args:
            options: `region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs), `baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and `applicationId` (required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and `messagingProfileId`; of whatsapp `phoneNumberId` (required) and `businessAccountId`.
            secrets: `apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and, if you use an API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and `signatureSecret`; of telnyx `apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram `botToken`, `secretToken` (one you think of).
        """
        return self._send(
            Call(
                operation="provider_credentials.create",
                method="POST",
                path="/api/v1/provider-credentials",
                body=given(
                    {
                        "isDefault": is_default,
                        "name": name,
                        "options": options,
                        "provider": provider,
                        "secrets": secrets,
                    }
                ),
                opaque=frozenset(["options", "secrets"]),
                idempotency_key=idempotency_key,
                answer=models.ProviderCredential,
            )
        )

    def delete(self, credential_id: str, *, force: bool | None = None) -> None:
        """Delete a credential. The newest other one of its provider becomes the default one; without one, the
        platform's own access is used. Needs the scope `provider-credentials:write`.

        Args:
            force: Also when active agents lose their only access to the provider
        """
        self._send(
            Call(
                operation="provider_credentials.delete",
                method="DELETE",
                path="/api/v1/provider-credentials/{credentialId}",
                path_values={"credentialId": credential_id},
                query={"force": force},
            )
        )

    def get(self, credential_id: str) -> models.ProviderCredential:
        """One credential, without its secrets. Needs the scope `provider-credentials:read`."""
        return self._send(
            Call(
                operation="provider_credentials.get",
                method="GET",
                path="/api/v1/provider-credentials/{credentialId}",
                path_values={"credentialId": credential_id},
                answer=models.ProviderCredential,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: Literal[
            "openai",
            "openai_compatible",
            "anthropic",
            "google",
            "cohere",
            "deepgram",
            "assemblyai",
            "elevenlabs",
            "aws",
            "azure",
            "twilio",
            "vonage",
            "telnyx",
            "whatsapp",
            "telegram",
        ]
        | None = None,
    ) -> PagedList[models.ProviderCredential]:
        """List credentials, newest first, without their secrets. Needs the scope `provider-credentials:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return PagedList(
            Call(
                operation="provider_credentials.list",
                method="GET",
                path="/api/v1/provider-credentials",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "provider": provider},
                answer=Any,
            ),
            models.ProviderCredential,
            self._send,
        )

    def test(self, credential_id: str, *, idempotency_key: str | None = None) -> models.ProviderCredential:
        """Ask the provider something small with a credential: one word of a model, one word of a voice, a moment of
        silence to a recogniser, of a carrier or a messaging network the account itself. `lastTest` of the answer
        says what came of it. Costs a fraction of a cent. Needs the scope `provider-credentials:write`.
        """
        return self._send(
            Call(
                operation="provider_credentials.test",
                method="POST",
                path="/api/v1/provider-credentials/{credentialId}/test",
                path_values={"credentialId": credential_id},
                idempotency_key=idempotency_key,
                answer=models.ProviderCredential,
            )
        )

    def update(
        self,
        credential_id: str,
        *,
        is_default: bool | Unset = UNSET,
        name: str | Unset = UNSET,
        options: Mapping[str, Any] | Unset = UNSET,
        secrets: Mapping[str, Any] | Unset = UNSET,
    ) -> models.ProviderCredential:
        """Rename a credential, replace its secrets or options, or make it the default one of its provider. New
        sessions use what is new; those that run keep what they began with. Needs the scope `provider-
        credentials:write`.

        Args:
            options: `region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs), `baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and `applicationId` (required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and `messagingProfileId`; of whatsapp `phoneNumberId` (required) and `businessAccountId`.
            secrets: `apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and, if you use an API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and `signatureSecret`; of telnyx `apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram `botToken`, `secretToken` (one you think of).
        """
        return self._send(
            Call(
                operation="provider_credentials.update",
                method="PATCH",
                path="/api/v1/provider-credentials/{credentialId}",
                path_values={"credentialId": credential_id},
                body=given({"isDefault": is_default, "name": name, "options": options, "secrets": secrets}),
                opaque=frozenset(["options", "secrets"]),
                answer=models.ProviderCredential,
            )
        )


class SettingsResource:
    """`client.settings`."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self.cors = SettingsCorsResource(send)


class TelephonyResource:
    """`client.telephony`."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self.numbers = TelephonyNumbersResource(send)
        self.trunks = TelephonyTrunksResource(send)
        self.usage = TelephonyUsageResource(send)


class UsersResource:
    """`client.users`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def deactivate(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Let a person in no more: log-ins end at once, access tokens within seconds. Needs the scope `users:write`."""
        return self._send(
            Call(
                operation="users.deactivate",
                method="POST",
                path="/api/v1/users/{userId}/deactivate",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def delete(self, user_id: str) -> None:
        """Forget a person. What they made stays. Needs the scope `users:write`."""
        self._send(
            Call(
                operation="users.delete",
                method="DELETE",
                path="/api/v1/users/{userId}",
                path_values={"userId": user_id},
            )
        )

    def get(self, user_id: str) -> models.User:
        """One person. Needs the scope `users:read`."""
        return self._send(
            Call(
                operation="users.get",
                method="GET",
                path="/api/v1/users/{userId}",
                path_values={"userId": user_id},
                answer=models.User,
            )
        )

    def invite(
        self,
        *,
        email: str,
        first_name: str | Unset = UNSET,
        last_name: str | Unset = UNSET,
        permissions: Mapping[str, Any] | Unset = UNSET,
        role: Literal[
            "Admin",
            "AgencyManager",
            "AgencyTechnicalManager",
            "AgencyAccountManager",
            "TenantOwner",
            "TenantUser",
            "ReadOnly",
            "PlatformAdmin",
        ]
        | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.User:
        """Invite somebody by e-mail. The link in it is good once, for seven days. Needs the scope `users:write`."""
        return self._send(
            Call(
                operation="users.invite",
                method="POST",
                path="/api/v1/users/invite",
                body=given(
                    {
                        "email": email,
                        "firstName": first_name,
                        "lastName": last_name,
                        "permissions": permissions,
                        "role": role,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        role: Literal[
            "Admin",
            "AgencyManager",
            "AgencyTechnicalManager",
            "AgencyAccountManager",
            "TenantOwner",
            "TenantUser",
            "ReadOnly",
            "PlatformAdmin",
        ]
        | None = None,
        status: Literal["active", "invited", "unverified", "disabled"] | None = None,
        search: str | None = None,
        sort_by: Literal["createdAt", "email", "name", "lastLoginAt"] | None = None,
        sort_order: str | None = None,
    ) -> PagedList[models.User]:
        """List the tenant's people, newest first. Needs the scope `users:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: Part of a name or an e-mail address
            sort_by: What lists sort by, as the query names it.
        """
        return PagedList(
            Call(
                operation="users.list",
                method="GET",
                path="/api/v1/users",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "role": role,
                    "status": status,
                    "search": search,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.User,
            self._send,
        )

    def reactivate(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Let a deactivated person in again, with the password of before. Needs the scope `users:write`."""
        return self._send(
            Call(
                operation="users.reactivate",
                method="POST",
                path="/api/v1/users/{userId}/reactivate",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def resend_invitation(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Send the invitation again, with a new link; the earlier one is no good any more. Needs the scope
        `users:write`.
        """
        return self._send(
            Call(
                operation="users.resend_invitation",
                method="POST",
                path="/api/v1/users/{userId}/invitation/resend",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def reset_mfa(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Take all second factors of a person away, for somebody who lost them. Needs the scope `users:write`."""
        return self._send(
            Call(
                operation="users.reset_mfa",
                method="POST",
                path="/api/v1/users/{userId}/mfa/reset",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def revoke_invitation(self, user_id: str) -> None:
        """Take an invitation back. Needs the scope `users:write`."""
        self._send(
            Call(
                operation="users.revoke_invitation",
                method="DELETE",
                path="/api/v1/users/{userId}/invitation",
                path_values={"userId": user_id},
            )
        )

    def unlock(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """End the lock that follows wrong passwords. Needs the scope `users:write`."""
        return self._send(
            Call(
                operation="users.unlock",
                method="POST",
                path="/api/v1/users/{userId}/unlock",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def update(
        self,
        user_id: str,
        *,
        first_name: str | Unset = UNSET,
        last_name: str | Unset = UNSET,
        permissions: Mapping[str, Any] | Unset = UNSET,
        role: Literal[
            "Admin",
            "AgencyManager",
            "AgencyTechnicalManager",
            "AgencyAccountManager",
            "TenantOwner",
            "TenantUser",
            "ReadOnly",
            "PlatformAdmin",
        ]
        | Unset = UNSET,
        if_match: str | None = None,
    ) -> models.User:
        """Change names, role or permissions. Tokens made before lose their force within seconds; a refresh brings the
        new rights. Needs the scope `users:write`.

        Args:
            if_match: Change only this version (an ETag)
        """
        return self._send(
            Call(
                operation="users.update",
                method="PATCH",
                path="/api/v1/users/{userId}",
                path_values={"userId": user_id},
                body=given({"firstName": first_name, "lastName": last_name, "permissions": permissions, "role": role}),
                headers={"If-Match": if_match},
                answer=models.User,
            )
        )


class VoicesResource:
    """`client.voices`."""

    def __init__(self, send: Sender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: str | None = None,
        language: str | None = None,
        search: str | None = None,
        available: bool | None = None,
    ) -> PagedList[models.Voice]:
        """List the voices that agents may speak with. Voices of your own account with a provider work too, though they
        are not listed. Needs the scope `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only of this provider, such as openai
            language: Only for this language: a BCP 47 tag such as es-MX, or es
            search: Part of the id or the name
            available: Only what you can use now, or only what you can't
        """
        return PagedList(
            Call(
                operation="voices.list",
                method="GET",
                path="/api/v1/voices",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "provider": provider,
                    "language": language,
                    "search": search,
                    "available": available,
                },
                answer=Any,
            ),
            models.Voice,
            self._send,
        )


class WebrtcResource:
    """`client.webrtc`."""

    def __init__(self, send: Sender) -> None:
        self._send = send
        self.sessions = WebrtcSessionsResource(send)


class Resources:
    """Everything the API has."""

    def __init__(self, send: Sender) -> None:
        self.agents = AgentsResource(send)
        self.analysis = AnalysisResource(send)
        self.api_keys = ApiKeysResource(send)
        self.audit_log = AuditLogResource(send)
        self.auth = AuthResource(send)
        self.channels = ChannelsResource(send)
        self.contacts = ContactsResource(send)
        self.conversations = ConversationsResource(send)
        self.do_not_call = DoNotCallResource(send)
        self.mail = MailResource(send)
        self.messages = MessagesResource(send)
        self.models = ModelsResource(send)
        self.outbound_calls = OutboundCallsResource(send)
        self.provider_credentials = ProviderCredentialsResource(send)
        self.settings = SettingsResource(send)
        self.telephony = TelephonyResource(send)
        self.users = UsersResource(send)
        self.voices = VoicesResource(send)
        self.webrtc = WebrtcResource(send)


class AsyncAuthMfaResource:
    """`client.auth.mfa`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def add_passkey(
        self,
        *,
        credential: Mapping[str, Any],
        enrolment_token: str,
        name: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.NewPasskey:
        """Add the passkey that the authenticator made. Recovery codes come with the first factor, and are shown this
        once.
        """
        return await self._send(
            Call(
                operation="auth.mfa.add_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys",
                body=given({"credential": credential, "enrolmentToken": enrolment_token, "name": name}),
                opaque=frozenset(["credential"]),
                idempotency_key=idempotency_key,
                answer=models.NewPasskey,
            )
        )

    async def ask_passkey(self, *, mfa_token: str, idempotency_key: str | None = None) -> models.AssertionOptions:
        """During a log-in: what to hand to `navigator.credentials.get`."""
        return await self._send(
            Call(
                operation="auth.mfa.ask_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys/challenge",
                body=given({"mfaToken": mfa_token}),
                idempotency_key=idempotency_key,
                answer=models.AssertionOptions,
            )
        )

    async def begin_passkey(self, *, password: str, idempotency_key: str | None = None) -> models.PasskeyOptions:
        """Begin with a passkey: what to hand to `navigator.credentials.create`."""
        return await self._send(
            Call(
                operation="auth.mfa.begin_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys/options",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
                answer=models.PasskeyOptions,
            )
        )

    async def begin_totp(self, *, password: str, idempotency_key: str | None = None) -> models.Totp:
        """Begin with an authenticator app: scan the code, then confirm with the first code the app shows."""
        return await self._send(
            Call(
                operation="auth.mfa.begin_totp",
                method="POST",
                path="/api/v1/auth/mfa/totp",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
                answer=models.Totp,
            )
        )

    async def confirm_totp(self, *, code: str, idempotency_key: str | None = None) -> models.RecoveryCodes:
        """Switch the app on with its first code. Keep the recovery codes: they are shown this once."""
        return await self._send(
            Call(
                operation="auth.mfa.confirm_totp",
                method="POST",
                path="/api/v1/auth/mfa/totp/confirm",
                body=given({"code": code}),
                idempotency_key=idempotency_key,
                answer=models.RecoveryCodes,
            )
        )

    async def remove_passkey(self, passkey_id: str, *, password: str, idempotency_key: str | None = None) -> None:
        """Take a passkey away."""
        await self._send(
            Call(
                operation="auth.mfa.remove_passkey",
                method="POST",
                path="/api/v1/auth/mfa/passkeys/{passkeyId}/remove",
                path_values={"passkeyId": passkey_id},
                body=given({"password": password}),
                idempotency_key=idempotency_key,
            )
        )

    async def remove_totp(self, *, password: str, idempotency_key: str | None = None) -> None:
        """Take the authenticator app away."""
        await self._send(
            Call(
                operation="auth.mfa.remove_totp",
                method="POST",
                path="/api/v1/auth/mfa/totp/remove",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
            )
        )

    async def renew_recovery_codes(self, *, password: str, idempotency_key: str | None = None) -> models.RecoveryCodes:
        """Get new recovery codes; the old ones are no good any more."""
        return await self._send(
            Call(
                operation="auth.mfa.renew_recovery_codes",
                method="POST",
                path="/api/v1/auth/mfa/recovery-codes",
                body=given({"password": password}),
                idempotency_key=idempotency_key,
                answer=models.RecoveryCodes,
            )
        )

    async def show(self) -> models.Factors:
        """What you have set up."""
        return await self._send(
            Call(operation="auth.mfa.show", method="GET", path="/api/v1/auth/mfa", answer=models.Factors)
        )

    async def verify(
        self,
        *,
        mfa_token: str,
        code: str | Unset = UNSET,
        credential: Mapping[str, Any] | Unset = UNSET,
        method: Literal["totp", "webauthn", "recovery_code"] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Login:
        """Complete a log-in with the second factor. A wrong one counts like a wrong password; after five the log-in
        begins again.
        """
        return await self._send(
            Call(
                operation="auth.mfa.verify",
                method="POST",
                path="/api/v1/auth/mfa/verify",
                body=given({"code": code, "credential": credential, "method": method, "mfaToken": mfa_token}),
                opaque=frozenset(["credential"]),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )


class AsyncSettingsCorsResource:
    """`client.settings.cors`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def get(self) -> models.Cors:
        """Get the origins whose pages may read this API's answers with a credential of this tenant and environment.
        Needs the scope `keys:read`.
        """
        return await self._send(
            Call(operation="settings.cors.get", method="GET", path="/api/v1/settings/cors", answer=models.Cors)
        )

    async def replace(self, *, allowed_origins: Sequence[str], if_match: str | None = None) -> models.Cors:
        """Replace the allowed origins; takes effect within ten seconds. Pages of the console are always allowed. Needs
        the scope `keys:write`.

        Args:
            if_match: The `ETag` you saw; 412 when it changed since
        """
        return await self._send(
            Call(
                operation="settings.cors.replace",
                method="PUT",
                path="/api/v1/settings/cors",
                body=given({"allowedOrigins": allowed_origins}),
                headers={"If-Match": if_match},
                answer=models.Cors,
            )
        )


class AsyncTelephonyNumbersResource:
    """`client.telephony.numbers`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def configure(self, number_id: str, *, idempotency_key: str | None = None) -> models.TelephonyNumber:
        """Have the carrier tell us of a number's calls and texts, as when it was bought. Needs the scope
        `telephony:write`.
        """
        return await self._send(
            Call(
                operation="telephony.numbers.configure",
                method="POST",
                path="/api/v1/telephony/numbers/{numberId}/configure",
                path_values={"numberId": number_id},
                idempotency_key=idempotency_key,
                answer=models.TelephonyNumber,
            )
        )

    async def create(
        self,
        *,
        phone_number: str,
        provider: Literal["twilio", "vonage", "telnyx"],
        agent_id: str | Unset | None = UNSET,
        friendly_name: str | Unset = UNSET,
        sms_agent_id: str | Unset | None = UNSET,
        source: Literal["purchase", "existing"] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.TelephonyNumber:
        """Buy a number and set it up, so that its calls and texts reach the agent; or take over one that your account
        rents already (`"source": "existing"`). It rents the number from your own account with the carrier if you
        have added one, else from the platform's. While the carrier works on it, `status` is `provisioning`; a
        number is never bought twice, whatever is lost on the way. Needs the scope `telephony:write`.

        Args:
            phone_number: In E.164 form, such as +14155550100
        """
        return await self._send(
            Call(
                operation="telephony.numbers.create",
                method="POST",
                path="/api/v1/telephony/numbers",
                body=given(
                    {
                        "agentId": agent_id,
                        "friendlyName": friendly_name,
                        "phoneNumber": phone_number,
                        "provider": provider,
                        "smsAgentId": sms_agent_id,
                        "source": source,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.TelephonyNumber,
            )
        )

    async def delete(self, number_id: str, *, keep: bool | None = None) -> None:
        """Give a number back. Where the carrier does not answer, it stays listed as `releasing` until it does. Needs
        the scope `telephony:write`.

        Args:
            keep: Whether the account goes on renting it; else a number that was bought here is given back
        """
        await self._send(
            Call(
                operation="telephony.numbers.delete",
                method="DELETE",
                path="/api/v1/telephony/numbers/{numberId}",
                path_values={"numberId": number_id},
                query={"keep": keep},
            )
        )

    async def get(self, number_id: str) -> models.TelephonyNumber:
        """One number. Needs the scope `telephony:read`."""
        return await self._send(
            Call(
                operation="telephony.numbers.get",
                method="GET",
                path="/api/v1/telephony/numbers/{numberId}",
                path_values={"numberId": number_id},
                answer=models.TelephonyNumber,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: Literal["twilio", "vonage", "telnyx"] | None = None,
        agent_id: str | None = None,
        capability: Literal["voice", "sms", "mms"] | None = None,
        status: Literal["provisioning", "active", "releasing", "failed", "released"] | None = None,
        phone_number: str | None = None,
    ) -> AsyncPagedList[models.TelephonyNumber]:
        """List your numbers, newest first. Those that failed or were given back are listed by `status` only. Needs the
        scope `telephony:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only numbers of this carrier
            agent_id: Only numbers that this agent answers
            capability: Only numbers that can do this
            status: Only numbers in this status; else those that are yours
            phone_number: Only this number, in E.164 form
        """
        return AsyncPagedList(
            Call(
                operation="telephony.numbers.list",
                method="GET",
                path="/api/v1/telephony/numbers",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "provider": provider,
                    "agentId": agent_id,
                    "capability": capability,
                    "status": status,
                    "phoneNumber": phone_number,
                },
                answer=Any,
            ),
            models.TelephonyNumber,
            self._send,
        )

    async def search(
        self,
        *,
        country: str | None = None,
        area_code: str | None = None,
        contains: str | None = None,
        capabilities: str | Sequence[str] | None = None,
        provider: Literal["twilio", "vonage", "telnyx"] | None = None,
        toll_free: bool | None = None,
        limit: int | None = None,
    ) -> models.AvailableNumbers:
        """Find numbers that can be bought. Every carrier that is set up is asked at once; `warnings` names those that
        did not answer. Needs the scope `telephony:read`.

        Args:
            country: ISO 3166-1 alpha-2, such as US
            area_code: The first digits of the national number, such as 415
            contains: Digits, or the letters of a keypad, anywhere in the number
            capabilities: All of these, comma-separated: voice, sms, mms
            provider: Only numbers of this carrier; else of all that are set up
            toll_free: Numbers that cost callers nothing
            limit: Numbers at most
        """
        return await self._send(
            Call(
                operation="telephony.numbers.search",
                method="GET",
                path="/api/v1/telephony/numbers/search",
                query={
                    "country": country,
                    "areaCode": area_code,
                    "contains": contains,
                    "capabilities": capabilities,
                    "provider": provider,
                    "tollFree": toll_free,
                    "limit": limit,
                },
                answer=models.AvailableNumbers,
            )
        )

    async def update(
        self,
        number_id: str,
        *,
        agent_id: str | Unset | None = UNSET,
        friendly_name: str | Unset = UNSET,
        sms_agent_id: str | Unset | None = UNSET,
    ) -> models.TelephonyNumber:
        """Assign a number to another agent or to none, or name it. Calls that run go on with the agent that answered.
        Needs the scope `telephony:write`.
        """
        return await self._send(
            Call(
                operation="telephony.numbers.update",
                method="PATCH",
                path="/api/v1/telephony/numbers/{numberId}",
                path_values={"numberId": number_id},
                body=given({"agentId": agent_id, "friendlyName": friendly_name, "smsAgentId": sms_agent_id}),
                answer=models.TelephonyNumber,
            )
        )

    async def verify(self, number_id: str, *, idempotency_key: str | None = None) -> models.NumberVerification:
        """Read at the carrier where it tells of a number's calls and texts, and say what differs from where it should.
        Needs the scope `telephony:write`.
        """
        return await self._send(
            Call(
                operation="telephony.numbers.verify",
                method="POST",
                path="/api/v1/telephony/numbers/{numberId}/verify",
                path_values={"numberId": number_id},
                idempotency_key=idempotency_key,
                answer=models.NumberVerification,
            )
        )


class AsyncTelephonyTrunksResource:
    """`client.telephony.trunks`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self,
        *,
        name: str,
        provider: Literal["twilio", "vonage", "telnyx"],
        allowed_ips: Sequence[str] | Unset = UNSET,
        credentials: Mapping[str, Any] | Unset | None = UNSET,
        numbers: Sequence[str] | Unset = UNSET,
        origination: Sequence[Mapping[str, Any]] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.SipTrunk:
        """Make a SIP trunk at a carrier: calls to its numbers go to your servers, and your servers call out over it.
        The password of its credentials is in this answer and kept nowhere. Where the carrier fails on the way,
        `status` is `failed`, and an empty PATCH tries again. Needs the scope `telephony:write`.

        Args:
            allowed_ips: IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28
            numbers: Ids of your numbers whose calls go over the trunk; no agent answers them
        """
        return await self._send(
            Call(
                operation="telephony.trunks.create",
                method="POST",
                path="/api/v1/telephony/trunks",
                body=given(
                    {
                        "allowedIps": allowed_ips,
                        "credentials": credentials,
                        "name": name,
                        "numbers": numbers,
                        "origination": origination,
                        "provider": provider,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.SipTrunk,
            )
        )

    async def delete(self, trunk_id: str) -> None:
        """Take a SIP trunk away. Its numbers stay yours, and their calls come to your agents again. Needs the scope
        `telephony:write`.
        """
        await self._send(
            Call(
                operation="telephony.trunks.delete",
                method="DELETE",
                path="/api/v1/telephony/trunks/{trunkId}",
                path_values={"trunkId": trunk_id},
            )
        )

    async def get(self, trunk_id: str) -> models.SipTrunk:
        """One SIP trunk. Needs the scope `telephony:read`."""
        return await self._send(
            Call(
                operation="telephony.trunks.get",
                method="GET",
                path="/api/v1/telephony/trunks/{trunkId}",
                path_values={"trunkId": trunk_id},
                answer=models.SipTrunk,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: Literal["twilio", "vonage", "telnyx"] | None = None,
    ) -> AsyncPagedList[models.SipTrunk]:
        """List SIP trunks, newest first. Needs the scope `telephony:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only trunks at this carrier
        """
        return AsyncPagedList(
            Call(
                operation="telephony.trunks.list",
                method="GET",
                path="/api/v1/telephony/trunks",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "provider": provider},
                answer=Any,
            ),
            models.SipTrunk,
            self._send,
        )

    async def test(self, trunk_id: str, *, idempotency_key: str | None = None) -> models.SipTrunk:
        """Read at the carrier what it has of each part of a trunk; `lastTest` of the answer says what is missing. No
        call is placed. Needs the scope `telephony:write`.
        """
        return await self._send(
            Call(
                operation="telephony.trunks.test",
                method="POST",
                path="/api/v1/telephony/trunks/{trunkId}/test",
                path_values={"trunkId": trunk_id},
                idempotency_key=idempotency_key,
                answer=models.SipTrunk,
            )
        )

    async def update(
        self,
        trunk_id: str,
        *,
        allowed_ips: Sequence[str] | Unset = UNSET,
        credentials: Mapping[str, Any] | Unset | None = UNSET,
        name: str | Unset = UNSET,
        numbers: Sequence[str] | Unset = UNSET,
        origination: Sequence[Mapping[str, Any]] | Unset = UNSET,
    ) -> models.SipTrunk:
        """Change a SIP trunk, or with an empty patch try again what the carrier failed at. New credentials are in this
        answer alone. Needs the scope `telephony:write`.

        Args:
            allowed_ips: IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28
            numbers: Ids of your numbers whose calls go over the trunk; no agent answers them
        """
        return await self._send(
            Call(
                operation="telephony.trunks.update",
                method="PATCH",
                path="/api/v1/telephony/trunks/{trunkId}",
                path_values={"trunkId": trunk_id},
                body=given(
                    {
                        "allowedIps": allowed_ips,
                        "credentials": credentials,
                        "name": name,
                        "numbers": numbers,
                        "origination": origination,
                    }
                ),
                answer=models.SipTrunk,
            )
        )


class AsyncTelephonyUsageResource:
    """`client.telephony.usage`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def get(
        self, *, date_from: str | date | datetime | None = None, date_to: str | date | datetime | None = None
    ) -> models.TelephonyUsage:
        """Calls, minutes, messages and their cost by number, carrier and direction, of conversations that have ended.
        Without `dateFrom` of the last 30 days. Needs the scope `telephony:read`.

        Args:
            date_from: The first day or moment, in ISO 8601; inclusive
            date_to: The last day or moment, in ISO 8601; inclusive
        """
        return await self._send(
            Call(
                operation="telephony.usage.get",
                method="GET",
                path="/api/v1/telephony/usage",
                query={"dateFrom": date_from, "dateTo": date_to},
                answer=models.TelephonyUsage,
            )
        )


class AsyncWebrtcSessionsResource:
    """`client.webrtc.sessions`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self, *, agent_id: str, metadata: Mapping[str, Any] | Unset = UNSET, idempotency_key: str | None = None
    ) -> models.WebRtcSession:
        """Make a call ready. Connect to WebRtcHub with the session token before it expires, and use the ICE servers as
        they are. Needs the scope `webrtc:write`.
        """
        return await self._send(
            Call(
                operation="webrtc.sessions.create",
                method="POST",
                path="/api/v1/webrtc/sessions",
                body=given({"agentId": agent_id, "metadata": metadata}),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.WebRtcSession,
            )
        )


class AsyncAgentsResource:
    """`client.agents`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def activate(
        self, agent_id: str, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> models.Agent:
        """Let an agent take calls. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return await self._send(
            Call(
                operation="agents.activate",
                method="POST",
                path="/api/v1/agents/{agentId}/activate",
                path_values={"agentId": agent_id},
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    async def compare(self, agent_id: str, first: int, second: int) -> models.Comparison:
        """Compare two versions of an agent: which members differ, with the value in the first and in the second. Needs
        the scope `agents:read`.
        """
        return await self._send(
            Call(
                operation="agents.compare",
                method="GET",
                path="/api/v1/agents/{agentId}/versions/{first}/compare/{second}",
                path_values={"agentId": agent_id, "first": first, "second": second},
                answer=models.Comparison,
            )
        )

    async def create(
        self,
        *,
        llm: Mapping[str, Any],
        name: str,
        persona: Mapping[str, Any],
        system_prompt_template: str,
        transcription: Mapping[str, Any],
        voice: Mapping[str, Any],
        ai_disclosure_message: str | Unset | None = UNSET,
        analysis_config: Mapping[str, Any] | Unset = UNSET,
        background_sound: Literal["none", "office", "cafe", "call_center"] | Unset = UNSET,
        channels: Mapping[str, Any] | Unset = UNSET,
        cost_tracking: Mapping[str, Any] | Unset = UNSET,
        description: str | Unset | None = UNSET,
        dtmf_enabled: bool | Unset = UNSET,
        end_call_phrases: Sequence[str] | Unset = UNSET,
        endpointing: Mapping[str, Any] | Unset = UNSET,
        fallbacks: Mapping[str, Any] | Unset = UNSET,
        fillers: Mapping[str, Any] | Unset = UNSET,
        first_message: str | Unset | None = UNSET,
        first_message_mode: Literal["assistant_speaks_first", "wait_for_user"] | Unset = UNSET,
        hipaa_compliant: bool | Unset = UNSET,
        interruption: Mapping[str, Any] | Unset = UNSET,
        knowledge_base_ids: Sequence[str] | Unset = UNSET,
        max_duration_seconds: int | Unset = UNSET,
        max_idle_time_seconds: int | Unset = UNSET,
        pronunciations: Sequence[Mapping[str, Any]] | Unset = UNSET,
        recording: Mapping[str, Any] | Unset = UNSET,
        silence_detection: Mapping[str, Any] | Unset = UNSET,
        tags: Sequence[str] | Unset = UNSET,
        tools: Sequence[Mapping[str, Any]] | Unset = UNSET,
        transfer: Mapping[str, Any] | Unset = UNSET,
        variables: Mapping[str, Any] | Unset = UNSET,
        voicemail_detection: Mapping[str, Any] | Unset = UNSET,
        widget: Mapping[str, Any] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Agent:
        """Create an agent, as a draft. Fields that are left out get their documented defaults. `warnings` of the
        answer name models and voices that are not in the catalogue, providers that you have no access to, and
        targets of transfers that calls may not go to. Needs the scope `agents:write`.
        """
        return await self._send(
            Call(
                operation="agents.create",
                method="POST",
                path="/api/v1/agents",
                body=given(
                    {
                        "aiDisclosureMessage": ai_disclosure_message,
                        "analysisConfig": analysis_config,
                        "backgroundSound": background_sound,
                        "channels": channels,
                        "costTracking": cost_tracking,
                        "description": description,
                        "dtmfEnabled": dtmf_enabled,
                        "endCallPhrases": end_call_phrases,
                        "endpointing": endpointing,
                        "fallbacks": fallbacks,
                        "fillers": fillers,
                        "firstMessage": first_message,
                        "firstMessageMode": first_message_mode,
                        "hipaaCompliant": hipaa_compliant,
                        "interruption": interruption,
                        "knowledgeBaseIds": knowledge_base_ids,
                        "llm": llm,
                        "maxDurationSeconds": max_duration_seconds,
                        "maxIdleTimeSeconds": max_idle_time_seconds,
                        "name": name,
                        "persona": persona,
                        "pronunciations": pronunciations,
                        "recording": recording,
                        "silenceDetection": silence_detection,
                        "systemPromptTemplate": system_prompt_template,
                        "tags": tags,
                        "tools": tools,
                        "transcription": transcription,
                        "transfer": transfer,
                        "variables": variables,
                        "voice": voice,
                        "voicemailDetection": voicemail_detection,
                        "widget": widget,
                    }
                ),
                opaque=frozenset(["config", "responseMapping", "theme", "uiConfig", "variables"]),
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    async def deactivate(
        self, agent_id: str, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> models.Agent:
        """Refuse an agent new calls; those in progress go on. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return await self._send(
            Call(
                operation="agents.deactivate",
                method="POST",
                path="/api/v1/agents/{agentId}/deactivate",
                path_values={"agentId": agent_id},
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    async def delete(self, agent_id: str, *, if_match: str | None = None) -> None:
        """Delete an agent for good; its phone numbers are free again. Its conversations are kept. Needs the scope
        `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        await self._send(
            Call(
                operation="agents.delete",
                method="DELETE",
                path="/api/v1/agents/{agentId}",
                path_values={"agentId": agent_id},
                headers={"If-Match": if_match},
            )
        )

    async def duplicate(
        self, agent_id: str, *, name: str | Unset | None = UNSET, idempotency_key: str | None = None
    ) -> models.Agent:
        """Copy an agent with all its settings; the copy is inactive. Needs the scope `agents:write`."""
        return await self._send(
            Call(
                operation="agents.duplicate",
                method="POST",
                path="/api/v1/agents/{agentId}/duplicate",
                path_values={"agentId": agent_id},
                body=given({"name": name}) or UNSET,
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    async def get(self, agent_id: str) -> models.Agent:
        """Get an agent. Its `ETag` goes into the `If-Match` of a later change. Needs the scope `agents:read`."""
        return await self._send(
            Call(
                operation="agents.get",
                method="GET",
                path="/api/v1/agents/{agentId}",
                path_values={"agentId": agent_id},
                answer=models.Agent,
            )
        )

    async def get_test(self, agent_id: str, test_session_id: str) -> models.Test:
        """Get a test: where it stands, and its conversation. Needs the scope `agents:read`."""
        return await self._send(
            Call(
                operation="agents.get_test",
                method="GET",
                path="/api/v1/agents/{agentId}/tests/{testSessionId}",
                path_values={"agentId": agent_id, "testSessionId": test_session_id},
                answer=models.Test,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        status: Literal["draft", "active", "inactive"] | None = None,
        search: str | None = None,
        tags: str | Sequence[str] | None = None,
        sort_by: str | None = None,
        sort_order: str | None = None,
    ) -> AsyncPagedList[models.Agent]:
        """List agents, newest first unless asked otherwise. Needs the scope `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            status: Only agents in this status
            search: Only agents whose name contains this
            tags: Only agents with all these tags, comma-separated
            sort_by: name, createdAt or updatedAt
            sort_order: asc or desc
        """
        return AsyncPagedList(
            Call(
                operation="agents.list",
                method="GET",
                path="/api/v1/agents",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "status": status,
                    "search": search,
                    "tags": tags,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.Agent,
            self._send,
        )

    async def publish(
        self,
        agent_id: str,
        *,
        notes: str | Unset | None = UNSET,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Agent:
        """Make the current version the one that talks. It never changes again; publishing it once more changes
        nothing. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return await self._send(
            Call(
                operation="agents.publish",
                method="POST",
                path="/api/v1/agents/{agentId}/publish",
                path_values={"agentId": agent_id},
                body=given({"notes": notes}) or UNSET,
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    async def restore(
        self, agent_id: str, number: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> models.Agent:
        """Go back to the configuration of an earlier version, as the agent's next version. What is published stays
        published. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return await self._send(
            Call(
                operation="agents.restore",
                method="POST",
                path="/api/v1/agents/{agentId}/versions/{number}/restore",
                path_values={"agentId": agent_id, "number": number},
                headers={"If-Match": if_match},
                idempotency_key=idempotency_key,
                answer=models.Agent,
            )
        )

    async def stats(
        self,
        agent_id: str,
        *,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
    ) -> models.AgentStats:
        """Sum up an agent's conversations that started in a period: of its whole life when no dates are given. Needs
        the scope `agents:read`.

        Args:
            date_from: The first day or moment, in ISO 8601; inclusive
            date_to: The last day or moment, in ISO 8601; inclusive
        """
        return await self._send(
            Call(
                operation="agents.stats",
                method="GET",
                path="/api/v1/agents/{agentId}/stats",
                path_values={"agentId": agent_id},
                query={"dateFrom": date_from, "dateTo": date_to},
                answer=models.AgentStats,
            )
        )

    async def test(
        self,
        agent_id: str,
        *,
        channel: Literal["phone", "webrtc", "webchat", "sms", "whatsapp", "telegram"],
        metadata: Mapping[str, Any] | Unset = UNSET,
        phone_number: str | Unset | None = UNSET,
        script: Sequence[str] | Unset = UNSET,
        version: int | str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.TestStarted:
        """Try an agent out, also a draft or an inactive one. Where no carrier is involved, and on every channel in the
        sandbox, a simulated caller talks with it; the conversation has a transcript, a recording and costs like any
        other, and is marked in its metadata. By phone an agent that has a number in the sandbox calls over a
        simulated carrier. With a live key a test by phone calls `phoneNumber` from the agent's number, at any hour,
        and one by sms, whatsapp or telegram sends it the agent's first message; this needs the scope `calls:write`
        or `conversations:write`. 409 `carrier-not-configured` when the agent has no number or account there, and
        whatever `/outbound-calls` and `/messages` refuse. Needs the scope `agents:write`.
        """
        return await self._send(
            Call(
                operation="agents.test",
                method="POST",
                path="/api/v1/agents/{agentId}/test",
                path_values={"agentId": agent_id},
                body=given(
                    {
                        "channel": channel,
                        "metadata": metadata,
                        "phoneNumber": phone_number,
                        "script": script,
                        "version": version,
                    }
                ),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.TestStarted,
            )
        )

    def tests(
        self, agent_id: str, *, page: int | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> AsyncPagedList[models.Test]:
        """List an agent's tests, newest first. Needs the scope `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return AsyncPagedList(
            Call(
                operation="agents.tests",
                method="GET",
                path="/api/v1/agents/{agentId}/tests",
                path_values={"agentId": agent_id},
                query={"page": page, "pageSize": page_size, "cursor": cursor},
                answer=Any,
            ),
            models.Test,
            self._send,
        )

    async def update(
        self,
        agent_id: str,
        *,
        ai_disclosure_message: str | Unset | None = UNSET,
        analysis_config: Mapping[str, Any] | Unset = UNSET,
        background_sound: Literal["none", "office", "cafe", "call_center"] | Unset = UNSET,
        channels: Mapping[str, Any] | Unset = UNSET,
        cost_tracking: Mapping[str, Any] | Unset = UNSET,
        description: str | Unset | None = UNSET,
        dtmf_enabled: bool | Unset = UNSET,
        end_call_phrases: Sequence[str] | Unset = UNSET,
        endpointing: Mapping[str, Any] | Unset = UNSET,
        fallbacks: Mapping[str, Any] | Unset = UNSET,
        fillers: Mapping[str, Any] | Unset = UNSET,
        first_message: str | Unset | None = UNSET,
        first_message_mode: Literal["assistant_speaks_first", "wait_for_user"] | Unset = UNSET,
        hipaa_compliant: bool | Unset = UNSET,
        interruption: Mapping[str, Any] | Unset = UNSET,
        knowledge_base_ids: Sequence[str] | Unset = UNSET,
        llm: Mapping[str, Any] | Unset = UNSET,
        max_duration_seconds: int | Unset = UNSET,
        max_idle_time_seconds: int | Unset = UNSET,
        name: str | Unset = UNSET,
        persona: Mapping[str, Any] | Unset = UNSET,
        pronunciations: Sequence[Mapping[str, Any]] | Unset = UNSET,
        recording: Mapping[str, Any] | Unset = UNSET,
        silence_detection: Mapping[str, Any] | Unset = UNSET,
        system_prompt_template: str | Unset = UNSET,
        tags: Sequence[str] | Unset = UNSET,
        tools: Sequence[Mapping[str, Any]] | Unset = UNSET,
        transcription: Mapping[str, Any] | Unset = UNSET,
        transfer: Mapping[str, Any] | Unset = UNSET,
        variables: Mapping[str, Any] | Unset = UNSET,
        voice: Mapping[str, Any] | Unset = UNSET,
        voicemail_detection: Mapping[str, Any] | Unset = UNSET,
        widget: Mapping[str, Any] | Unset = UNSET,
        if_match: str | None = None,
    ) -> models.Agent:
        """Change an agent by a JSON merge patch: nested objects merge, null clears a field, arrays are replaced. Every
        patch makes the next version, also one that changes nothing. Needs the scope `agents:write`.

        Args:
            if_match: The `ETag` you saw; 412 when the agent changed since
        """
        return await self._send(
            Call(
                operation="agents.update",
                method="PATCH",
                path="/api/v1/agents/{agentId}",
                path_values={"agentId": agent_id},
                body=given(
                    {
                        "aiDisclosureMessage": ai_disclosure_message,
                        "analysisConfig": analysis_config,
                        "backgroundSound": background_sound,
                        "channels": channels,
                        "costTracking": cost_tracking,
                        "description": description,
                        "dtmfEnabled": dtmf_enabled,
                        "endCallPhrases": end_call_phrases,
                        "endpointing": endpointing,
                        "fallbacks": fallbacks,
                        "fillers": fillers,
                        "firstMessage": first_message,
                        "firstMessageMode": first_message_mode,
                        "hipaaCompliant": hipaa_compliant,
                        "interruption": interruption,
                        "knowledgeBaseIds": knowledge_base_ids,
                        "llm": llm,
                        "maxDurationSeconds": max_duration_seconds,
                        "maxIdleTimeSeconds": max_idle_time_seconds,
                        "name": name,
                        "persona": persona,
                        "pronunciations": pronunciations,
                        "recording": recording,
                        "silenceDetection": silence_detection,
                        "systemPromptTemplate": system_prompt_template,
                        "tags": tags,
                        "tools": tools,
                        "transcription": transcription,
                        "transfer": transfer,
                        "variables": variables,
                        "voice": voice,
                        "voicemailDetection": voicemail_detection,
                        "widget": widget,
                    }
                ),
                opaque=frozenset(["config", "responseMapping", "theme", "uiConfig", "variables"]),
                headers={"If-Match": if_match},
                answer=models.Agent,
            )
        )

    async def version(self, agent_id: str, number: int) -> models.VersionDetail:
        """Get one version of an agent, with its configuration. Needs the scope `agents:read`."""
        return await self._send(
            Call(
                operation="agents.version",
                method="GET",
                path="/api/v1/agents/{agentId}/versions/{number}",
                path_values={"agentId": agent_id, "number": number},
                answer=models.VersionDetail,
            )
        )

    async def versions(self, agent_id: str) -> models.VersionList:
        """List an agent's versions, newest first. Needs the scope `agents:read`."""
        return await self._send(
            Call(
                operation="agents.versions",
                method="GET",
                path="/api/v1/agents/{agentId}/versions",
                path_values={"agentId": agent_id},
                answer=models.VersionList,
            )
        )


class AsyncAnalysisResource:
    """`client.analysis`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    def failures(
        self, *, page: int | None = None, page_size: int | None = None, cursor: str | None = None
    ) -> AsyncPagedList[models.Failure]:
        """List the analyses that were given up, the latest first. Needs the scope `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return AsyncPagedList(
            Call(
                operation="analysis.failures",
                method="GET",
                path="/api/v1/analysis/failures",
                query={"page": page, "pageSize": page_size, "cursor": cursor},
                answer=Any,
            ),
            models.Failure,
            self._send,
        )


class AsyncApiKeysResource:
    """`client.api_keys`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[str],
        expires_at: str | datetime | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.NewApiKey:
        """Create a key in the environment of your credential. Its text is in this answer and never again. Needs the
        scope `keys:write`.
        """
        return await self._send(
            Call(
                operation="api_keys.create",
                method="POST",
                path="/api/v1/api-keys",
                body=given({"expiresAt": expires_at, "name": name, "scopes": scopes}),
                idempotency_key=idempotency_key,
                answer=models.NewApiKey,
            )
        )

    async def get(self, key_id: str) -> models.ApiKey:
        """One key, without its text. Needs the scope `keys:read`."""
        return await self._send(
            Call(
                operation="api_keys.get",
                method="GET",
                path="/api/v1/api-keys/{keyId}",
                path_values={"keyId": key_id},
                answer=models.ApiKey,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        status: Literal["active", "expired", "revoked"] | None = None,
        scope: str | None = None,
        search: str | None = None,
        sort_by: Literal["createdAt", "name", "lastUsedAt", "expiresAt"] | None = None,
        sort_order: str | None = None,
    ) -> AsyncPagedList[models.ApiKey]:
        """List keys, newest first, without their texts. Needs the scope `keys:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            scope: Only with it
            search: Part of the name or of the key's beginning
            sort_by: What lists sort by, as the query names it.
        """
        return AsyncPagedList(
            Call(
                operation="api_keys.list",
                method="GET",
                path="/api/v1/api-keys",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "status": status,
                    "scope": scope,
                    "search": search,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.ApiKey,
            self._send,
        )

    async def rename(self, key_id: str, *, name: str) -> models.ApiKey:
        """Give a key another name. What it may do never changes. Needs the scope `keys:write`."""
        return await self._send(
            Call(
                operation="api_keys.rename",
                method="PATCH",
                path="/api/v1/api-keys/{keyId}",
                path_values={"keyId": key_id},
                body=given({"name": name}),
                answer=models.ApiKey,
            )
        )

    async def revoke(self, key_id: str) -> None:
        """Revoke a key, in force within five seconds. Needs the scope `keys:write`."""
        await self._send(
            Call(
                operation="api_keys.revoke",
                method="DELETE",
                path="/api/v1/api-keys/{keyId}",
                path_values={"keyId": key_id},
            )
        )

    async def rotate(
        self, key_id: str, *, overlap_seconds: int | Unset = UNSET, idempotency_key: str | None = None
    ) -> models.NewApiKey:
        """Get a new key with the same name and scopes. The old one stays good for the overlap, a day unless you say
        otherwise. Needs the scope `keys:write`.
        """
        return await self._send(
            Call(
                operation="api_keys.rotate",
                method="POST",
                path="/api/v1/api-keys/{keyId}/rotate",
                path_values={"keyId": key_id},
                body=given({"overlapSeconds": overlap_seconds}),
                idempotency_key=idempotency_key,
                answer=models.NewApiKey,
            )
        )


class AsyncAuditLogResource:
    """`client.audit_log`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        actor_id: str | None = None,
        action: str | None = None,
        target_type: str | None = None,
        target_id: str | None = None,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
    ) -> AsyncPagedList[models.AuditEntry]:
        """List what was done in this environment and by whom, newest first. Needs the scope `audit:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            actor_id: Only this user's or key's
            action: Only this, such as conversation.deleted
            target_type: Only to such things
            target_id: Only to this thing
            date_from: On or after; ISO 8601
            date_to: On or before; ISO 8601
        """
        return AsyncPagedList(
            Call(
                operation="audit_log.list",
                method="GET",
                path="/api/v1/audit-log",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "actorId": actor_id,
                    "action": action,
                    "targetType": target_type,
                    "targetId": target_id,
                    "dateFrom": date_from,
                    "dateTo": date_to,
                },
                answer=Any,
            ),
            models.AuditEntry,
            self._send,
        )


class AsyncAuthResource:
    """`client.auth`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send
        self.mfa = AsyncAuthMfaResource(send)

    async def accept_invitation(
        self,
        *,
        password: str,
        token: str,
        first_name: str | Unset | None = UNSET,
        last_name: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Login:
        """Join a tenant with the link from the mail and a password of your own; you are logged in then."""
        return await self._send(
            Call(
                operation="auth.accept_invitation",
                method="POST",
                path="/api/v1/auth/invitations/accept",
                body=given({"firstName": first_name, "lastName": last_name, "password": password, "token": token}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    async def ask_to_unlock(self, *, email: str, idempotency_key: str | None = None) -> None:
        """Get a link by mail that ends the lock after wrong passwords. The answer is always the same."""
        await self._send(
            Call(
                operation="auth.ask_to_unlock",
                method="POST",
                path="/api/v1/auth/unlock/request",
                body=given({"email": email}),
                idempotency_key=idempotency_key,
            )
        )

    async def change_environment(
        self,
        *,
        environment: Literal["live", "sandbox"],
        refresh_token: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Environment:
        """Go on in the other environment. With the refresh token the whole log-in moves there; without, you get an
        access token.
        """
        return await self._send(
            Call(
                operation="auth.change_environment",
                method="POST",
                path="/api/v1/auth/environment",
                body=given({"environment": environment, "refreshToken": refresh_token}),
                idempotency_key=idempotency_key,
                answer=models.Environment,
            )
        )

    async def change_password(
        self, *, current_password: str, new_password: str, idempotency_key: str | None = None
    ) -> models.Login:
        """Change your password. All log-ins end, and you get a new one."""
        return await self._send(
            Call(
                operation="auth.change_password",
                method="POST",
                path="/api/v1/auth/password",
                body=given({"currentPassword": current_password, "newPassword": new_password}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    async def confirm_registration(self, *, token: str, idempotency_key: str | None = None) -> models.Login:
        """Confirm the address with the link from the mail: the tenant is made, and you are logged in."""
        return await self._send(
            Call(
                operation="auth.confirm_registration",
                method="POST",
                path="/api/v1/auth/register/confirm",
                body=given({"token": token}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    async def forgot(self, *, email: str, idempotency_key: str | None = None) -> None:
        """Get a link to a new password by mail. The answer is the same whether anybody has this address."""
        await self._send(
            Call(
                operation="auth.forgot",
                method="POST",
                path="/api/v1/auth/password/forgot",
                body=given({"email": email}),
                idempotency_key=idempotency_key,
            )
        )

    async def hub_token(
        self,
        *,
        agent_id: str | Unset | None = UNSET,
        session_id: str | Unset | None = UNSET,
        ttl_seconds: int | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.HubToken:
        """Get a token for the hubs, which take no API key; optionally bound to one agent or session."""
        return await self._send(
            Call(
                operation="auth.hub_token",
                method="POST",
                path="/api/v1/auth/hub-token",
                body=given({"agentId": agent_id, "sessionId": session_id, "ttlSeconds": ttl_seconds}),
                idempotency_key=idempotency_key,
                answer=models.HubToken,
            )
        )

    async def login(
        self,
        *,
        email: str,
        password: str,
        environment: Literal["live", "sandbox"] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Login | models.MfaRequired:
        """Log in with email and password: an access token for a quarter of an hour, and a refresh token to get the
        next; or a token to complete the log-in with, when a second factor is set up.
        """
        return await self._send(
            Call(
                operation="auth.login",
                method="POST",
                path="/api/v1/auth/login",
                body=given({"email": email, "environment": environment, "password": password}),
                idempotency_key=idempotency_key,
                answer=models.Login | models.MfaRequired,
            )
        )

    async def logout(self, *, refresh_token: str, idempotency_key: str | None = None) -> None:
        """End a log-in: its refresh tokens are no good any more. Access tokens run out by themselves."""
        await self._send(
            Call(
                operation="auth.logout",
                method="POST",
                path="/api/v1/auth/logout",
                body=given({"refreshToken": refresh_token}),
                idempotency_key=idempotency_key,
            )
        )

    async def logout_everywhere(self, *, idempotency_key: str | None = None) -> None:
        """End all your log-ins, this one too: refresh tokens at once, access tokens within seconds."""
        await self._send(
            Call(
                operation="auth.logout_everywhere",
                method="POST",
                path="/api/v1/auth/logout/all",
                idempotency_key=idempotency_key,
            )
        )

    async def look_at_invitation(self, *, token: str, idempotency_key: str | None = None) -> models.Invitation:
        """What an invitation is for. It stays good."""
        return await self._send(
            Call(
                operation="auth.look_at_invitation",
                method="POST",
                path="/api/v1/auth/invitations/look",
                body=given({"token": token}),
                idempotency_key=idempotency_key,
                answer=models.Invitation,
            )
        )

    async def me(self) -> models.User:
        """Who is logged in."""
        return await self._send(Call(operation="auth.me", method="GET", path="/api/v1/auth/me", answer=models.User))

    async def refresh(self, *, refresh_token: str, idempotency_key: str | None = None) -> models.Login:
        """Exchange a refresh token for a new pair. Each is good once; using one a second time ends the log-in."""
        return await self._send(
            Call(
                operation="auth.refresh",
                method="POST",
                path="/api/v1/auth/refresh",
                body=given({"refreshToken": refresh_token}),
                idempotency_key=idempotency_key,
                answer=models.Login,
            )
        )

    async def register(
        self,
        *,
        company_name: str,
        email: str,
        first_name: str,
        password: str,
        last_name: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> None:
        """Register. You get a mail with a link that opens the account; the answer is the same for an address that has
        one.
        """
        await self._send(
            Call(
                operation="auth.register",
                method="POST",
                path="/api/v1/auth/register",
                body=given(
                    {
                        "companyName": company_name,
                        "email": email,
                        "firstName": first_name,
                        "lastName": last_name,
                        "password": password,
                    }
                ),
                idempotency_key=idempotency_key,
            )
        )

    async def rename(self, *, first_name: str | Unset = UNSET, last_name: str | Unset = UNSET) -> models.User:
        """Change your own names."""
        return await self._send(
            Call(
                operation="auth.rename",
                method="PATCH",
                path="/api/v1/auth/me",
                body=given({"firstName": first_name, "lastName": last_name}),
                answer=models.User,
            )
        )

    async def reset(self, *, password: str, token: str, idempotency_key: str | None = None) -> None:
        """Choose a new password with the link from the mail. All log-ins end; a second factor is asked for as before."""
        await self._send(
            Call(
                operation="auth.reset",
                method="POST",
                path="/api/v1/auth/password/reset",
                body=given({"password": password, "token": token}),
                idempotency_key=idempotency_key,
            )
        )

    async def unlock(self, *, token: str, idempotency_key: str | None = None) -> None:
        """End the lock after wrong passwords with the link from the mail."""
        await self._send(
            Call(
                operation="auth.unlock",
                method="POST",
                path="/api/v1/auth/unlock",
                body=given({"token": token}),
                idempotency_key=idempotency_key,
            )
        )


class AsyncChannelsResource:
    """`client.channels`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self,
        *,
        agent_id: str,
        channel: Literal["whatsapp", "telegram"],
        credential_id: str | Unset | None = UNSET,
        settings: Mapping[str, Any] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Channel:
        """Connect an account with an agent. The network is asked who the account is, and told to post its messages
        here. 409 `channel-taken` when the address is connected already, `credential-refused` when the network does
        not know the key; 403 `platform-channel` without a credential, unless the caller is the platform's operator.
        Needs the scope `telephony:write`.
        """
        return await self._send(
            Call(
                operation="channels.create",
                method="POST",
                path="/api/v1/channels",
                body=given(
                    {"agentId": agent_id, "channel": channel, "credentialId": credential_id, "settings": settings}
                ),
                idempotency_key=idempotency_key,
                answer=models.Channel,
            )
        )

    async def delete(self, channel_id: str) -> None:
        """Disconnect an account: nobody answers there any more, and the network is told to post nothing. What was
        written stays. Needs the scope `telephony:write`.
        """
        await self._send(
            Call(
                operation="channels.delete",
                method="DELETE",
                path="/api/v1/channels/{channelId}",
                path_values={"channelId": channel_id},
            )
        )

    async def get(self, channel_id: str) -> models.Channel:
        """One connection. Needs the scope `telephony:read`."""
        return await self._send(
            Call(
                operation="channels.get",
                method="GET",
                path="/api/v1/channels/{channelId}",
                path_values={"channelId": channel_id},
                answer=models.Channel,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        channel: Literal["whatsapp", "telegram"] | None = None,
        agent_id: str | None = None,
    ) -> AsyncPagedList[models.Channel]:
        """List connections, newest first. Needs the scope `telephony:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return AsyncPagedList(
            Call(
                operation="channels.list",
                method="GET",
                path="/api/v1/channels",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "channel": channel, "agentId": agent_id},
                answer=Any,
            ),
            models.Channel,
            self._send,
        )

    async def update(
        self, channel_id: str, *, agent_id: str | Unset = UNSET, settings: Mapping[str, Any] | Unset = UNSET
    ) -> models.Channel:
        """Let another agent answer, which ends running conversations with the next message, or change the settings.
        Needs the scope `telephony:write`.
        """
        return await self._send(
            Call(
                operation="channels.update",
                method="PATCH",
                path="/api/v1/channels/{channelId}",
                path_values={"channelId": channel_id},
                body=given({"agentId": agent_id, "settings": settings}),
                answer=models.Channel,
            )
        )

    async def verify(self, channel_id: str, *, idempotency_key: str | None = None) -> models.Channel:
        """Ask the network where it posts messages; if not here, it is told to. Needs the scope `telephony:write`."""
        return await self._send(
            Call(
                operation="channels.verify",
                method="POST",
                path="/api/v1/channels/{channelId}/verify",
                path_values={"channelId": channel_id},
                idempotency_key=idempotency_key,
                answer=models.Channel,
            )
        )


class AsyncContactsResource:
    """`client.contacts`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def delete(self, contact_id: str) -> None:
        """Forget somebody: all they are known by, their threads and messages. Conversations are deleted one by one.
        Who wanted no messages gets none afterwards either: of that only a digest of the address is kept. Needs the
        scope `conversations:delete`.
        """
        await self._send(
            Call(
                operation="contacts.delete",
                method="DELETE",
                path="/api/v1/contacts/{contactId}",
                path_values={"contactId": contact_id},
            )
        )

    async def get(self, contact_id: str) -> models.Contact:
        """One contact, with all it is known by and where it wants no messages. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="contacts.get",
                method="GET",
                path="/api/v1/contacts/{contactId}",
                path_values={"contactId": contact_id},
                answer=models.Contact,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        search: str | None = None,
        phone_number: str | None = None,
    ) -> AsyncPagedList[models.Contact]:
        """List contacts, those first who were there last. Needs the scope `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: A part of the name, or the beginning of a number or id
            phone_number: In E.164 form
        """
        return AsyncPagedList(
            Call(
                operation="contacts.list",
                method="GET",
                path="/api/v1/contacts",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "search": search,
                    "phoneNumber": phone_number,
                },
                answer=Any,
            ),
            models.Contact,
            self._send,
        )

    async def update(
        self,
        contact_id: str,
        *,
        language: str | Unset = UNSET,
        name: str | Unset = UNSET,
        notes: str | Unset = UNSET,
        opted_out: Mapping[str, Any] | Unset = UNSET,
    ) -> models.Contact:
        """Say who somebody is, or that they want no messages on a channel, or want them again. Needs the scope
        `conversations:write`.
        """
        return await self._send(
            Call(
                operation="contacts.update",
                method="PATCH",
                path="/api/v1/contacts/{contactId}",
                path_values={"contactId": contact_id},
                body=given({"language": language, "name": name, "notes": notes, "optedOut": opted_out}),
                answer=models.Contact,
            )
        )


class AsyncConversationsResource:
    """`client.conversations`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def add_tags(
        self, conversation_id: str, *, tags: Sequence[str], idempotency_key: str | None = None
    ) -> models.Conversation:
        """Add tags; those that are there stay. Needs the scope `conversations:write`."""
        return await self._send(
            Call(
                operation="conversations.add_tags",
                method="POST",
                path="/api/v1/conversations/{conversationId}/tags",
                path_values={"conversationId": conversation_id},
                body=given({"tags": tags}),
                idempotency_key=idempotency_key,
                answer=models.Conversation,
            )
        )

    async def analysis(self, conversation_id: str) -> models.Analysis:
        """Get the analysis, which is there a few seconds after the end. 404 `analysis-not-available` says why there is
        none. Needs the scope `conversations:read`.
        """
        return await self._send(
            Call(
                operation="conversations.analysis",
                method="GET",
                path="/api/v1/conversations/{conversationId}/analysis",
                path_values={"conversationId": conversation_id},
                answer=models.Analysis,
            )
        )

    async def archive(self, conversation_id: str, *, idempotency_key: str | None = None) -> models.Conversation:
        """Take a conversation out of the lists; it stays as it is and can be read by its id. Needs the scope
        `conversations:write`.
        """
        return await self._send(
            Call(
                operation="conversations.archive",
                method="POST",
                path="/api/v1/conversations/{conversationId}/archive",
                path_values={"conversationId": conversation_id},
                idempotency_key=idempotency_key,
                answer=models.Conversation,
            )
        )

    async def costs(self, conversation_id: str) -> models.Costs:
        """Get what a conversation cost, part by part. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="conversations.costs",
                method="GET",
                path="/api/v1/conversations/{conversationId}/costs",
                path_values={"conversationId": conversation_id},
                answer=models.Costs,
            )
        )

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation, its transcript and its recording for good. Needs the scopes `conversations:write` and
        `conversations:delete`.
        """
        await self._send(
            Call(
                operation="conversations.delete",
                method="DELETE",
                path="/api/v1/conversations/{conversationId}",
                path_values={"conversationId": conversation_id},
            )
        )

    async def get(self, conversation_id: str) -> models.Conversation:
        """Get a conversation. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="conversations.get",
                method="GET",
                path="/api/v1/conversations/{conversationId}",
                path_values={"conversationId": conversation_id},
                answer=models.Conversation,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        agent_id: str | None = None,
        channel: Literal["phone", "webrtc", "webchat", "sms", "whatsapp", "telegram"] | None = None,
        status: Literal["in_progress", "completed", "failed", "abandoned"] | None = None,
        direction: Literal["inbound", "outbound"] | None = None,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
        outcome: str | None = None,
        tags: str | Sequence[str] | None = None,
        min_duration: int | None = None,
        max_duration: int | None = None,
        archived: Any | None = None,
        sort_by: Any | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> AsyncPagedList[models.Conversation]:
        """List conversations, newest first unless asked otherwise. Needs the scope `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            agent_id: Only this agent's
            channel: Only on this channel
            status: Only in this status
            direction: inbound or outbound
            date_from: Started on or after; ISO 8601
            date_to: Started on or before; ISO 8601
            outcome: Only with this outcome
            tags: Only with all these tags, comma-separated
            min_duration: At least so many seconds long
            max_duration: At most so many seconds long
            archived: Only those that were not archived, only those that were, or all
            sort_by: By time or by duration
            sort_order: Ascending or descending
        """
        return AsyncPagedList(
            Call(
                operation="conversations.list",
                method="GET",
                path="/api/v1/conversations",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "agentId": agent_id,
                    "channel": channel,
                    "status": status,
                    "direction": direction,
                    "dateFrom": date_from,
                    "dateTo": date_to,
                    "outcome": outcome,
                    "tags": tags,
                    "minDuration": min_duration,
                    "maxDuration": max_duration,
                    "archived": archived,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.Conversation,
            self._send,
        )

    async def messages(self, conversation_id: str) -> models.Messages:
        """Get what was said, turn by turn; also while the conversation goes on. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="conversations.messages",
                method="GET",
                path="/api/v1/conversations/{conversationId}/messages",
                path_values={"conversationId": conversation_id},
                answer=models.Messages,
            )
        )

    async def recording(self, conversation_id: str) -> models.RecordingLink:
        """Get a link to the recording, good for an hour. 404 `recording-not-available` says why there is none. `parts`
        also has what the carrier recorded after the call was handed over, where the agent's
        `recording.afterTransfer` asks for it. Needs the scope `conversations:read`.
        """
        return await self._send(
            Call(
                operation="conversations.recording",
                method="GET",
                path="/api/v1/conversations/{conversationId}/recording",
                path_values={"conversationId": conversation_id},
                answer=models.RecordingLink,
            )
        )

    async def remove_tag(self, conversation_id: str, tag: str) -> None:
        """Remove a tag. Needs the scope `conversations:write`."""
        await self._send(
            Call(
                operation="conversations.remove_tag",
                method="DELETE",
                path="/api/v1/conversations/{conversationId}/tags/{tag}",
                path_values={"conversationId": conversation_id, "tag": tag},
            )
        )

    async def retry_analysis(self, conversation_id: str, *, idempotency_key: str | None = None) -> models.AnalysisState:
        """Analyse the conversation once more, after a failure or to replace what was found. Needs the scope
        `conversations:write`.
        """
        return await self._send(
            Call(
                operation="conversations.retry_analysis",
                method="POST",
                path="/api/v1/conversations/{conversationId}/analysis/retry",
                path_values={"conversationId": conversation_id},
                idempotency_key=idempotency_key,
                answer=models.AnalysisState,
            )
        )

    async def set_outcome(
        self, conversation_id: str, *, outcome: str, notes: str | Unset | None = UNSET
    ) -> models.Conversation:
        """Say how a conversation turned out. Needs the scope `conversations:write`."""
        return await self._send(
            Call(
                operation="conversations.set_outcome",
                method="PUT",
                path="/api/v1/conversations/{conversationId}/outcome",
                path_values={"conversationId": conversation_id},
                body=given({"notes": notes, "outcome": outcome}),
                answer=models.Conversation,
            )
        )

    async def transcript(self, conversation_id: str) -> models.ConversationTranscript:
        """Get what was said with the time of every word. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="conversations.transcript",
                method="GET",
                path="/api/v1/conversations/{conversationId}/transcript",
                path_values={"conversationId": conversation_id},
                answer=models.ConversationTranscript,
            )
        )

    async def transfer(
        self,
        conversation_id: str,
        *,
        mode: Literal["cold", "warm"] | Unset | None = UNSET,
        phone_number: str | Unset | None = UNSET,
        ring_seconds: int | Unset | None = UNSET,
        sip_uri: str | Unset | None = UNSET,
        summary: str | Unset | None = UNSET,
        target: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.TransferStarted:
        """Hand a telephone call that goes on over to somebody. 409 `not-transferable` for anything else, `transfer-in-
        progress` while another transfer of the call is under way; 404 `transfer-target-not-found` for a target that
        the agent has not; 422 `number-not-allowed` for premium-rate numbers and their like, `country-not-allowed`
        for countries that are neither those of the tenant's numbers nor in `allowedCountries` of PUT
        /api/v1/outbound-calls/settings; agents have no such targets either. Needs the scope `conversations:write`.
        """
        return await self._send(
            Call(
                operation="conversations.transfer",
                method="POST",
                path="/api/v1/conversations/{conversationId}/transfer",
                path_values={"conversationId": conversation_id},
                body=given(
                    {
                        "mode": mode,
                        "phoneNumber": phone_number,
                        "ringSeconds": ring_seconds,
                        "sipUri": sip_uri,
                        "summary": summary,
                        "target": target,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.TransferStarted,
            )
        )

    async def transfers(self, conversation_id: str) -> models.Transfers:
        """Get what became of a call's transfers. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="conversations.transfers",
                method="GET",
                path="/api/v1/conversations/{conversationId}/transfers",
                path_values={"conversationId": conversation_id},
                answer=models.Transfers,
            )
        )

    async def unarchive(self, conversation_id: str, *, idempotency_key: str | None = None) -> models.Conversation:
        """Put an archived conversation back into the lists. Needs the scope `conversations:write`."""
        return await self._send(
            Call(
                operation="conversations.unarchive",
                method="POST",
                path="/api/v1/conversations/{conversationId}/unarchive",
                path_values={"conversationId": conversation_id},
                idempotency_key=idempotency_key,
                answer=models.Conversation,
            )
        )


class AsyncDoNotCallResource:
    """`client.do_not_call`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self,
        *,
        phone_number: str,
        reason: str | Unset | None = UNSET,
        source: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.DoNotCall:
        """Put a number on the list: calls to it are refused, and those that wait are not placed. One that is there
        stays as it is. Needs the scope `calls:write`.

        Args:
            phone_number: In E.164 form
            source: Where it comes from, such as `manual` or `crm`
        """
        return await self._send(
            Call(
                operation="do_not_call.create",
                method="POST",
                path="/api/v1/do-not-call",
                body=given({"phoneNumber": phone_number, "reason": reason, "source": source}),
                idempotency_key=idempotency_key,
                answer=models.DoNotCall,
            )
        )

    async def delete(self, phone_number: str) -> None:
        """Take a number off the list. Make sure that whoever it belongs to wants to be called. Needs the scope
        `calls:write`.
        """
        await self._send(
            Call(
                operation="do_not_call.delete",
                method="DELETE",
                path="/api/v1/do-not-call/{phoneNumber}",
                path_values={"phoneNumber": phone_number},
            )
        )

    async def get(self, phone_number: str) -> models.DoNotCall:
        """Whether a number is on the list: 404 when it is not. Needs the scope `calls:read`."""
        return await self._send(
            Call(
                operation="do_not_call.get",
                method="GET",
                path="/api/v1/do-not-call/{phoneNumber}",
                path_values={"phoneNumber": phone_number},
                answer=models.DoNotCall,
            )
        )

    async def import_numbers(
        self,
        *,
        phone_numbers: Sequence[str],
        reason: str | Unset | None = UNSET,
        source: str | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.DoNotCallImported:
        """Put up to 10,000 numbers on the list at once: all of them or, where one is no number, none. Needs the scope
        `calls:write`.

        Args:
            source: Where it comes from, such as `manual` or `crm`
        """
        return await self._send(
            Call(
                operation="do_not_call.import_numbers",
                method="POST",
                path="/api/v1/do-not-call/import",
                body=given({"phoneNumbers": phone_numbers, "reason": reason, "source": source}),
                idempotency_key=idempotency_key,
                answer=models.DoNotCallImported,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        search: str | None = None,
        source: str | None = None,
    ) -> AsyncPagedList[models.DoNotCall]:
        """List the numbers, newest first. Needs the scope `calls:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: Only numbers that contain this
            source: Only from this source
        """
        return AsyncPagedList(
            Call(
                operation="do_not_call.list",
                method="GET",
                path="/api/v1/do-not-call",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "search": search, "source": source},
                answer=Any,
            ),
            models.DoNotCall,
            self._send,
        )


class AsyncMailResource:
    """`client.mail`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        kind: Literal[
            "invitation",
            "password_reset",
            "password_changed",
            "account_locked",
            "registration",
            "already_registered",
            "mfa_changed",
        ]
        | None = None,
        search: str | None = None,
        all_tenants: bool | None = None,
    ) -> AsyncPagedList[models.Mail]:
        """List mails to the tenant's people, newest first. Texts are there only while no mail server is set up. Needs
        the scope `users:write`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: Part of address or subject
            all_tenants: Of every tenant, for operators of the platform
        """
        return AsyncPagedList(
            Call(
                operation="mail.list",
                method="GET",
                path="/api/v1/mail",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "kind": kind,
                    "search": search,
                    "allTenants": all_tenants,
                },
                answer=Any,
            ),
            models.Mail,
            self._send,
        )


class AsyncMessagesResource:
    """`client.messages`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self,
        *,
        agent_id: str,
        channel: Literal["sms", "whatsapp", "telegram"],
        contact_id: str | Unset | None = UNSET,
        template: Mapping[str, Any] | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
        to: str | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.Sent:
        """Have an agent write to somebody, by SMS from its number, by WhatsApp or Telegram from its connected account.
        It goes out within seconds; `GET /api/v1/messages/{id}` tells what became of it. On WhatsApp a text reaches
        only people who wrote within 24 hours: later it is held, or goes out as the connection's template. 409
        `opted-out` for who wants no messages. Needs the scope `conversations:write`.
        """
        return await self._send(
            Call(
                operation="messages.create",
                method="POST",
                path="/api/v1/messages",
                body=given(
                    {
                        "agentId": agent_id,
                        "channel": channel,
                        "contactId": contact_id,
                        "template": template,
                        "text": text,
                        "to": to,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.Sent,
            )
        )

    async def get(self, message_id: str) -> models.SentMessage:
        """One message, and what became of it. Needs the scope `conversations:read`."""
        return await self._send(
            Call(
                operation="messages.get",
                method="GET",
                path="/api/v1/messages/{messageId}",
                path_values={"messageId": message_id},
                answer=models.SentMessage,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        conversation_id: str | None = None,
        thread_id: str | None = None,
        contact_id: str | None = None,
        agent_id: str | None = None,
        channel: Literal["sms", "whatsapp", "telegram"] | None = None,
        direction: Literal["inbound", "outbound"] | None = None,
        status: Literal[
            "received",
            "answered",
            "ignored",
            "queued",
            "held",
            "sending",
            "unconfirmed",
            "sent",
            "delivered",
            "read",
            "failed",
            "undeliverable",
        ]
        | None = None,
    ) -> AsyncPagedList[models.SentMessage]:
        """List messages: those of one conversation or thread in their order, others newest first. Needs the scope
        `conversations:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return AsyncPagedList(
            Call(
                operation="messages.list",
                method="GET",
                path="/api/v1/messages",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "conversationId": conversation_id,
                    "threadId": thread_id,
                    "contactId": contact_id,
                    "agentId": agent_id,
                    "channel": channel,
                    "direction": direction,
                    "status": status,
                },
                answer=Any,
            ),
            models.SentMessage,
            self._send,
        )


class AsyncModelsResource:
    """`client.models`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        kind: Literal["llm", "stt", "tts"] | None = None,
        provider: str | None = None,
        language: str | None = None,
        search: str | None = None,
        available: bool | None = None,
    ) -> AsyncPagedList[models.Model]:
        """List the models that agents may name: language models, recognisers and voices' models, with what they can do
        and cost. Agents may name others too: the catalogue is as old as its `source`. Needs the scope
        `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only of this provider, such as openai
            language: Only for this language: a BCP 47 tag such as es-MX, or es
            search: Part of the id or the name
            available: Only what you can use now, or only what you can't
        """
        return AsyncPagedList(
            Call(
                operation="models.list",
                method="GET",
                path="/api/v1/models",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "kind": kind,
                    "provider": provider,
                    "language": language,
                    "search": search,
                    "available": available,
                },
                answer=Any,
            ),
            models.Model,
            self._send,
        )


class AsyncOutboundCallsResource:
    """`client.outbound_calls`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def batch(
        self,
        *,
        agent_id: str,
        calls: Sequence[Mapping[str, Any]],
        from_number: str | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        retry_delay_minutes: int | Unset = UNSET,
        scheduled_for: str | datetime | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.OutboundBatch:
        """Have an agent call up to 1,000 numbers, each with its own metadata. All rows or none: a wrong field refuses
        the batch (422 names the rows). Numbers on the do-not-call list are left out, and say so in their result.
        Needs the scope `calls:write`.

        Args:
            from_number: In E.164 form
            max_retries: How often somebody who does not answer is called again
        """
        return await self._send(
            Call(
                operation="outbound_calls.batch",
                method="POST",
                path="/api/v1/outbound-calls/batch",
                body=given(
                    {
                        "agentId": agent_id,
                        "calls": calls,
                        "fromNumber": from_number,
                        "maxRetries": max_retries,
                        "metadata": metadata,
                        "retryDelayMinutes": retry_delay_minutes,
                        "scheduledFor": scheduled_for,
                    }
                ),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.OutboundBatch,
            )
        )

    async def cancel(self, call_id: str, *, idempotency_key: str | None = None) -> models.OutboundCall:
        """Cancel a call that nobody has answered; one that rings stops ringing. 409 once somebody has, or when it is
        over. Needs the scope `calls:write`.
        """
        return await self._send(
            Call(
                operation="outbound_calls.cancel",
                method="POST",
                path="/api/v1/outbound-calls/{callId}/cancel",
                path_values={"callId": call_id},
                idempotency_key=idempotency_key,
                answer=models.OutboundCall,
            )
        )

    async def create(
        self,
        *,
        agent_id: str,
        to_number: str,
        from_number: str | Unset | None = UNSET,
        max_retries: int | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset = UNSET,
        retry_delay_minutes: int | Unset = UNSET,
        scheduled_for: str | datetime | Unset | None = UNSET,
        idempotency_key: str | None = None,
    ) -> models.OutboundCall:
        """Have an agent call somebody, now or at a time: within the calling hours of where the number is, when a slot
        is free. Who does not answer is called again `maxRetries` times, `retryDelayMinutes` after the call ended;
        the status is `scheduled` in between. 409 `number-on-do-not-call-list` for numbers that must not be called;
        422 `number-not-allowed` for premium-rate numbers and their like and for numbers that agents answer,
        `country-not-allowed` for countries that are neither those of the tenant's numbers nor allowed. Needs the
        scope `calls:write`.

        Args:
            from_number: In E.164 form
            max_retries: How often somebody who does not answer is called again
            to_number: In E.164 form
        """
        return await self._send(
            Call(
                operation="outbound_calls.create",
                method="POST",
                path="/api/v1/outbound-calls",
                body=given(
                    {
                        "agentId": agent_id,
                        "fromNumber": from_number,
                        "maxRetries": max_retries,
                        "metadata": metadata,
                        "retryDelayMinutes": retry_delay_minutes,
                        "scheduledFor": scheduled_for,
                        "toNumber": to_number,
                    }
                ),
                opaque=frozenset(["metadata"]),
                idempotency_key=idempotency_key,
                answer=models.OutboundCall,
            )
        )

    async def get(self, call_id: str) -> models.OutboundCall:
        """Get a call. Needs the scope `calls:read`."""
        return await self._send(
            Call(
                operation="outbound_calls.get",
                method="GET",
                path="/api/v1/outbound-calls/{callId}",
                path_values={"callId": call_id},
                answer=models.OutboundCall,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        status: Literal[
            "scheduled",
            "queued",
            "initiating",
            "ringing",
            "in_progress",
            "completed",
            "failed",
            "no_answer",
            "busy",
            "cancelled",
            "voicemail",
        ]
        | None = None,
        agent_id: str | None = None,
        to_number: str | None = None,
        campaign_id: str | None = None,
        batch_id: str | None = None,
        date_from: str | date | datetime | None = None,
        date_to: str | date | datetime | None = None,
        sort_by: str | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> AsyncPagedList[models.OutboundCall]:
        """List calls, newest first unless asked otherwise. Needs the scope `calls:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            status: Only in this status
            agent_id: Only this agent's
            to_number: Only to this number
            campaign_id: Only with this `campaignId` in their metadata
            batch_id: Only of this batch
            date_from: Made on or after; ISO 8601
            date_to: Made on or before; ISO 8601
            sort_by: By time
            sort_order: Ascending or descending
        """
        return AsyncPagedList(
            Call(
                operation="outbound_calls.list",
                method="GET",
                path="/api/v1/outbound-calls",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "status": status,
                    "agentId": agent_id,
                    "toNumber": to_number,
                    "campaignId": campaign_id,
                    "batchId": batch_id,
                    "dateFrom": date_from,
                    "dateTo": date_to,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.OutboundCall,
            self._send,
        )

    async def set_settings(
        self,
        *,
        allowed_countries: Sequence[str] | Unset = UNSET,
        calling_hours: Mapping[str, Any] | Unset | None = UNSET,
        default_ring_seconds: int | Unset = UNSET,
        machine_detection: Literal["off", "answer", "greeting"] | Unset = UNSET,
        max_concurrent: int | Unset = UNSET,
        statutory_hours: bool | Unset = UNSET,
    ) -> models.CallSettings:
        """Replace when and how calls are placed; what is left out gets its default. Holds for calls that wait, too.
        `machineDetection` is the carrier's, which it bills; our own listens in any case, as the agent's
        `voicemailDetection` says. Agents that want to know of no machines (`enabled: false`) are told of none.
        Needs the scope `calls:write`.
        """
        return await self._send(
            Call(
                operation="outbound_calls.set_settings",
                method="PUT",
                path="/api/v1/outbound-calls/settings",
                body=given(
                    {
                        "allowedCountries": allowed_countries,
                        "callingHours": calling_hours,
                        "defaultRingSeconds": default_ring_seconds,
                        "machineDetection": machine_detection,
                        "maxConcurrent": max_concurrent,
                        "statutoryHours": statutory_hours,
                    }
                ),
                answer=models.CallSettings,
            )
        )

    async def settings(self) -> models.CallSettings:
        """Get when and how calls are placed in this environment. Needs the scope `calls:read`."""
        return await self._send(
            Call(
                operation="outbound_calls.settings",
                method="GET",
                path="/api/v1/outbound-calls/settings",
                answer=models.CallSettings,
            )
        )


class AsyncProviderCredentialsResource:
    """`client.provider_credentials`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def create(
        self,
        *,
        name: str,
        provider: Literal[
            "openai",
            "openai_compatible",
            "anthropic",
            "google",
            "cohere",
            "deepgram",
            "assemblyai",
            "elevenlabs",
            "aws",
            "azure",
            "twilio",
            "vonage",
            "telnyx",
            "whatsapp",
            "telegram",
        ],
        secrets: Mapping[str, Any],
        is_default: bool | Unset = UNSET,
        options: Mapping[str, Any] | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.ProviderCredential:
        """Keep your own access to a provider, sealed. Sessions of this environment use the provider's default one from
        now on. Secrets are never shown again, only the last four characters of each. Needs the scope `provider-
        credentials:write`.

        Args:
            options: `region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs), `baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and `applicationId` (required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and `messagingProfileId`; of whatsapp `phoneNumberId` (required) and `businessAccountId`.
            secrets: `apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and, if you use an API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and `signatureSecret`; of telnyx `apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram `botToken`, `secretToken` (one you think of).
        """
        return await self._send(
            Call(
                operation="provider_credentials.create",
                method="POST",
                path="/api/v1/provider-credentials",
                body=given(
                    {
                        "isDefault": is_default,
                        "name": name,
                        "options": options,
                        "provider": provider,
                        "secrets": secrets,
                    }
                ),
                opaque=frozenset(["options", "secrets"]),
                idempotency_key=idempotency_key,
                answer=models.ProviderCredential,
            )
        )

    async def delete(self, credential_id: str, *, force: bool | None = None) -> None:
        """Delete a credential. The newest other one of its provider becomes the default one; without one, the
        platform's own access is used. Needs the scope `provider-credentials:write`.

        Args:
            force: Also when active agents lose their only access to the provider
        """
        await self._send(
            Call(
                operation="provider_credentials.delete",
                method="DELETE",
                path="/api/v1/provider-credentials/{credentialId}",
                path_values={"credentialId": credential_id},
                query={"force": force},
            )
        )

    async def get(self, credential_id: str) -> models.ProviderCredential:
        """One credential, without its secrets. Needs the scope `provider-credentials:read`."""
        return await self._send(
            Call(
                operation="provider_credentials.get",
                method="GET",
                path="/api/v1/provider-credentials/{credentialId}",
                path_values={"credentialId": credential_id},
                answer=models.ProviderCredential,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: Literal[
            "openai",
            "openai_compatible",
            "anthropic",
            "google",
            "cohere",
            "deepgram",
            "assemblyai",
            "elevenlabs",
            "aws",
            "azure",
            "twilio",
            "vonage",
            "telnyx",
            "whatsapp",
            "telegram",
        ]
        | None = None,
    ) -> AsyncPagedList[models.ProviderCredential]:
        """List credentials, newest first, without their secrets. Needs the scope `provider-credentials:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
        """
        return AsyncPagedList(
            Call(
                operation="provider_credentials.list",
                method="GET",
                path="/api/v1/provider-credentials",
                query={"page": page, "pageSize": page_size, "cursor": cursor, "provider": provider},
                answer=Any,
            ),
            models.ProviderCredential,
            self._send,
        )

    async def test(self, credential_id: str, *, idempotency_key: str | None = None) -> models.ProviderCredential:
        """Ask the provider something small with a credential: one word of a model, one word of a voice, a moment of
        silence to a recogniser, of a carrier or a messaging network the account itself. `lastTest` of the answer
        says what came of it. Costs a fraction of a cent. Needs the scope `provider-credentials:write`.
        """
        return await self._send(
            Call(
                operation="provider_credentials.test",
                method="POST",
                path="/api/v1/provider-credentials/{credentialId}/test",
                path_values={"credentialId": credential_id},
                idempotency_key=idempotency_key,
                answer=models.ProviderCredential,
            )
        )

    async def update(
        self,
        credential_id: str,
        *,
        is_default: bool | Unset = UNSET,
        name: str | Unset = UNSET,
        options: Mapping[str, Any] | Unset = UNSET,
        secrets: Mapping[str, Any] | Unset = UNSET,
    ) -> models.ProviderCredential:
        """Rename a credential, replace its secrets or options, or make it the default one of its provider. New
        sessions use what is new; those that run keep what they began with. Needs the scope `provider-
        credentials:write`.

        Args:
            options: `region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs), `baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and `applicationId` (required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and `messagingProfileId`; of whatsapp `phoneNumberId` (required) and `businessAccountId`.
            secrets: `apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and, if you use an API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and `signatureSecret`; of telnyx `apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram `botToken`, `secretToken` (one you think of).
        """
        return await self._send(
            Call(
                operation="provider_credentials.update",
                method="PATCH",
                path="/api/v1/provider-credentials/{credentialId}",
                path_values={"credentialId": credential_id},
                body=given({"isDefault": is_default, "name": name, "options": options, "secrets": secrets}),
                opaque=frozenset(["options", "secrets"]),
                answer=models.ProviderCredential,
            )
        )


class AsyncSettingsResource:
    """`client.settings`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send
        self.cors = AsyncSettingsCorsResource(send)


class AsyncTelephonyResource:
    """`client.telephony`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send
        self.numbers = AsyncTelephonyNumbersResource(send)
        self.trunks = AsyncTelephonyTrunksResource(send)
        self.usage = AsyncTelephonyUsageResource(send)


class AsyncUsersResource:
    """`client.users`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    async def deactivate(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Let a person in no more: log-ins end at once, access tokens within seconds. Needs the scope `users:write`."""
        return await self._send(
            Call(
                operation="users.deactivate",
                method="POST",
                path="/api/v1/users/{userId}/deactivate",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    async def delete(self, user_id: str) -> None:
        """Forget a person. What they made stays. Needs the scope `users:write`."""
        await self._send(
            Call(
                operation="users.delete",
                method="DELETE",
                path="/api/v1/users/{userId}",
                path_values={"userId": user_id},
            )
        )

    async def get(self, user_id: str) -> models.User:
        """One person. Needs the scope `users:read`."""
        return await self._send(
            Call(
                operation="users.get",
                method="GET",
                path="/api/v1/users/{userId}",
                path_values={"userId": user_id},
                answer=models.User,
            )
        )

    async def invite(
        self,
        *,
        email: str,
        first_name: str | Unset = UNSET,
        last_name: str | Unset = UNSET,
        permissions: Mapping[str, Any] | Unset = UNSET,
        role: Literal[
            "Admin",
            "AgencyManager",
            "AgencyTechnicalManager",
            "AgencyAccountManager",
            "TenantOwner",
            "TenantUser",
            "ReadOnly",
            "PlatformAdmin",
        ]
        | Unset = UNSET,
        idempotency_key: str | None = None,
    ) -> models.User:
        """Invite somebody by e-mail. The link in it is good once, for seven days. Needs the scope `users:write`."""
        return await self._send(
            Call(
                operation="users.invite",
                method="POST",
                path="/api/v1/users/invite",
                body=given(
                    {
                        "email": email,
                        "firstName": first_name,
                        "lastName": last_name,
                        "permissions": permissions,
                        "role": role,
                    }
                ),
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        role: Literal[
            "Admin",
            "AgencyManager",
            "AgencyTechnicalManager",
            "AgencyAccountManager",
            "TenantOwner",
            "TenantUser",
            "ReadOnly",
            "PlatformAdmin",
        ]
        | None = None,
        status: Literal["active", "invited", "unverified", "disabled"] | None = None,
        search: str | None = None,
        sort_by: Literal["createdAt", "email", "name", "lastLoginAt"] | None = None,
        sort_order: str | None = None,
    ) -> AsyncPagedList[models.User]:
        """List the tenant's people, newest first. Needs the scope `users:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            search: Part of a name or an e-mail address
            sort_by: What lists sort by, as the query names it.
        """
        return AsyncPagedList(
            Call(
                operation="users.list",
                method="GET",
                path="/api/v1/users",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "role": role,
                    "status": status,
                    "search": search,
                    "sortBy": sort_by,
                    "sortOrder": sort_order,
                },
                answer=Any,
            ),
            models.User,
            self._send,
        )

    async def reactivate(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Let a deactivated person in again, with the password of before. Needs the scope `users:write`."""
        return await self._send(
            Call(
                operation="users.reactivate",
                method="POST",
                path="/api/v1/users/{userId}/reactivate",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    async def resend_invitation(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Send the invitation again, with a new link; the earlier one is no good any more. Needs the scope
        `users:write`.
        """
        return await self._send(
            Call(
                operation="users.resend_invitation",
                method="POST",
                path="/api/v1/users/{userId}/invitation/resend",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    async def reset_mfa(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """Take all second factors of a person away, for somebody who lost them. Needs the scope `users:write`."""
        return await self._send(
            Call(
                operation="users.reset_mfa",
                method="POST",
                path="/api/v1/users/{userId}/mfa/reset",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    async def revoke_invitation(self, user_id: str) -> None:
        """Take an invitation back. Needs the scope `users:write`."""
        await self._send(
            Call(
                operation="users.revoke_invitation",
                method="DELETE",
                path="/api/v1/users/{userId}/invitation",
                path_values={"userId": user_id},
            )
        )

    async def unlock(self, user_id: str, *, idempotency_key: str | None = None) -> models.User:
        """End the lock that follows wrong passwords. Needs the scope `users:write`."""
        return await self._send(
            Call(
                operation="users.unlock",
                method="POST",
                path="/api/v1/users/{userId}/unlock",
                path_values={"userId": user_id},
                idempotency_key=idempotency_key,
                answer=models.User,
            )
        )

    async def update(
        self,
        user_id: str,
        *,
        first_name: str | Unset = UNSET,
        last_name: str | Unset = UNSET,
        permissions: Mapping[str, Any] | Unset = UNSET,
        role: Literal[
            "Admin",
            "AgencyManager",
            "AgencyTechnicalManager",
            "AgencyAccountManager",
            "TenantOwner",
            "TenantUser",
            "ReadOnly",
            "PlatformAdmin",
        ]
        | Unset = UNSET,
        if_match: str | None = None,
    ) -> models.User:
        """Change names, role or permissions. Tokens made before lose their force within seconds; a refresh brings the
        new rights. Needs the scope `users:write`.

        Args:
            if_match: Change only this version (an ETag)
        """
        return await self._send(
            Call(
                operation="users.update",
                method="PATCH",
                path="/api/v1/users/{userId}",
                path_values={"userId": user_id},
                body=given({"firstName": first_name, "lastName": last_name, "permissions": permissions, "role": role}),
                headers={"If-Match": if_match},
                answer=models.User,
            )
        )


class AsyncVoicesResource:
    """`client.voices`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send

    def list(
        self,
        *,
        page: int | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
        provider: str | None = None,
        language: str | None = None,
        search: str | None = None,
        available: bool | None = None,
    ) -> AsyncPagedList[models.Voice]:
        """List the voices that agents may speak with. Voices of your own account with a provider work too, though they
        are not listed. Needs the scope `agents:read`.

        Args:
            page: Page number, from 1 on
            page_size: Items a page
            cursor: `nextCursor` of the page before; in its place `page` counts for nothing
            provider: Only of this provider, such as openai
            language: Only for this language: a BCP 47 tag such as es-MX, or es
            search: Part of the id or the name
            available: Only what you can use now, or only what you can't
        """
        return AsyncPagedList(
            Call(
                operation="voices.list",
                method="GET",
                path="/api/v1/voices",
                query={
                    "page": page,
                    "pageSize": page_size,
                    "cursor": cursor,
                    "provider": provider,
                    "language": language,
                    "search": search,
                    "available": available,
                },
                answer=Any,
            ),
            models.Voice,
            self._send,
        )


class AsyncWebrtcResource:
    """`client.webrtc`."""

    def __init__(self, send: AsyncSender) -> None:
        self._send = send
        self.sessions = AsyncWebrtcSessionsResource(send)


class AsyncResources:
    """Everything the API has."""

    def __init__(self, send: AsyncSender) -> None:
        self.agents = AsyncAgentsResource(send)
        self.analysis = AsyncAnalysisResource(send)
        self.api_keys = AsyncApiKeysResource(send)
        self.audit_log = AsyncAuditLogResource(send)
        self.auth = AsyncAuthResource(send)
        self.channels = AsyncChannelsResource(send)
        self.contacts = AsyncContactsResource(send)
        self.conversations = AsyncConversationsResource(send)
        self.do_not_call = AsyncDoNotCallResource(send)
        self.mail = AsyncMailResource(send)
        self.messages = AsyncMessagesResource(send)
        self.models = AsyncModelsResource(send)
        self.outbound_calls = AsyncOutboundCallsResource(send)
        self.provider_credentials = AsyncProviderCredentialsResource(send)
        self.settings = AsyncSettingsResource(send)
        self.telephony = AsyncTelephonyResource(send)
        self.users = AsyncUsersResource(send)
        self.voices = AsyncVoicesResource(send)
        self.webrtc = AsyncWebrtcResource(send)
