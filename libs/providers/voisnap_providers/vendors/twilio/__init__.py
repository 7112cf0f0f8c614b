"""Twilio Programmable Voice: TwiML, Media Streams, the REST API."""
