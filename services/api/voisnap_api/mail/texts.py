"""What the mails say. The secret of a link stands behind `#`: a browser sends that part to no server, so no log can hold it."""

import msgspec

from .records import MailKind


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """A mail's subject and plain text."""

    kind: MailKind
    subject: str
    body: str


class Pages:
    """The console's pages that mails lead to."""

    def __init__(self, public_url: str) -> None:
        self._origin = public_url.rstrip("/")

    def invitation(self, token: str) -> str:
        return f"{self._origin}/access.html#invitation={token}"

    def new_password(self, token: str) -> str:
        return f"{self._origin}/access.html#reset={token}"

    def unlock(self, token: str) -> str:
        return f"{self._origin}/access.html#unlock={token}"

    def registration(self, token: str) -> str:
        return f"{self._origin}/access.html#registration={token}"

    def forgotten(self) -> str:
        return f"{self._origin}/access.html#forgot"


def invitation(*, inviter: str, tenant: str, link: str) -> Text:
    """Somebody may join a tenant."""
    return Text(
        kind=MailKind.INVITATION,
        subject=f"{inviter} invites you to {tenant} on Voisnap",
        body=f"""Hello,

{inviter} invites you to work with {tenant} on Voisnap.
Choose your password here to join. The link is good once, for seven days:

{link}

If you did not expect this, you can ignore it: nothing happens without you.
""",
    )


def password_reset(*, name: str, link: str) -> Text:
    """Somebody asked for a new password."""
    return Text(
        kind=MailKind.PASSWORD_RESET,
        subject="Choose a new password",
        body=f"""Hello {name},

somebody, probably you, asked for a new password for your Voisnap account.
Choose it here. The link is good once, for one hour:

{link}

If it was not you, ignore this mail: your password stays as it is.
""",
    )


def password_changed(*, name: str, link: str) -> Text:
    """The password is another one now."""
    return Text(
        kind=MailKind.PASSWORD_CHANGED,
        subject="Your password was changed",
        body=f"""Hello {name},

the password of your Voisnap account was changed just now, and everybody who was logged in with it was logged out.

If it was not you, take your account back here:

{link}
""",
    )


def account_locked(*, name: str, link: str) -> Text:
    """Too many wrong passwords."""
    return Text(
        kind=MailKind.ACCOUNT_LOCKED,
        subject="Your account is locked for a while",
        body=f"""Hello {name},

somebody typed a wrong password or code for your Voisnap account several times, so that it is locked for a while.
The lock ends by itself. If it was you, end it at once here; the link is good once, for one hour:

{link}

If it was not you, there is nothing to do: nobody got in.
""",
    )


def registration(*, name: str, link: str) -> Text:
    """An address that has to be confirmed."""
    return Text(
        kind=MailKind.REGISTRATION,
        subject="Confirm your address",
        body=f"""Hello {name},

welcome to Voisnap. Confirm your address to open your account. The link is good once, for 24 hours:

{link}

If you did not register, ignore this mail: there is no account until the link is used.
""",
    )


def already_registered(*, name: str, link: str) -> Text:
    """Somebody registered with an address that has an account."""
    return Text(
        kind=MailKind.ALREADY_REGISTERED,
        subject="You have an account already",
        body=f"""Hello {name},

somebody, probably you, registered at Voisnap with this address. You have an account already: just log in.
If you forgot the password, choose a new one here:

{link}
""",
    )


def mfa_changed(*, name: str, change: str, link: str) -> Text:
    """The second factor of a log-in is another one now; `change` is a sentence."""
    return Text(
        kind=MailKind.MFA_CHANGED,
        subject="The protection of your account was changed",
        body=f"""Hello {name},

{change}

If it was not you, take your account back by choosing a new password here:

{link}
""",
    )
