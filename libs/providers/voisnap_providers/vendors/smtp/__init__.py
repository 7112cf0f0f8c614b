"""Mail servers over SMTP (RFC 5321)."""

from .email import SmtpSender, SmtpSettings, smtp_from_url

__all__ = ["SmtpSender", "SmtpSettings", "smtp_from_url"]
