"""Twilio, Vonage, Telnyx, WhatsApp and Telegram on this machine: their REST APIs, webhooks and media sockets as they are on the wire, and
people at the other end. A product feature, not a test aid: the sandbox environment knows no other carriers (ADR 29)."""
