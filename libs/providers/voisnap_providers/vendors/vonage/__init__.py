"""Calls over the Vonage Voice API. What its answer document and its media socket agree on stands here, so that who reads webhooks loads no
sound."""

RATES = (8000, 16000, 24000)
"""Samples a second that a media socket may be asked for."""
CALL_HEADER = "call_id"
"""The name under which our answer document tells the socket whose call it carries; Vonage itself does not."""
