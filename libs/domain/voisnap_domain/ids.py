"""Kinds of identifier. An id is opaque to its readers: prefix, underscore, 26-character ULID (decisions, "ids")."""

from typing import NewType

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
ApiKeyId = NewType("ApiKeyId", str)
AgentId = NewType("AgentId", str)
SessionId = NewType("SessionId", str)
ConversationId = NewType("ConversationId", str)
NodeId = NewType("NodeId", str)
EventId = NewType("EventId", str)
ProviderCredentialId = NewType("ProviderCredentialId", str)
OutboundCallId = NewType("OutboundCallId", str)
PhoneNumberId = NewType("PhoneNumberId", str)
SipTrunkId = NewType("SipTrunkId", str)
ContactId = NewType("ContactId", str)
ChannelConnectionId = NewType("ChannelConnectionId", str)
MessageThreadId = NewType("MessageThreadId", str)
MessageId = NewType("MessageId", str)

PREFIXES: dict[str, str] = {
    "tenant": "ten",
    "user": "usr",
    "api_key": "key",
    "agent": "agt",
    "webrtc_session": "wrtc",
    "voice_session": "call",
    "chat_session": "chat",
    "conversation": "conv",
    "request": "req",
    "event": "evt",
    "node": "node",
    "agent_test": "test",
    "widget_key": "wgt",
    "knowledge_base": "kb",
    "provider_credential": "pcred",
    "outbound_call": "obc",
    "dial_attempt": "att",
    "phone_number": "num",
    "sip_trunk": "trunk",
    "contact": "cont",
    "channel_connection": "chan",
    "message_thread": "thr",
    "message": "msg",
}
"""Prefix of each kind, as the documentation prints them."""
