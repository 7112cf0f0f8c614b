"""Asking a person who is logged in for the password once more, before something changes how the account is protected."""

from voisnap_domain.errors import FieldError, Invalid
from voisnap_kit.postgres import Database
from voisnap_kit.work import Caller, begin_as_system

from voisnap_api.mail.texts import Pages
from voisnap_api.users import usecases as users
from voisnap_api.users.records import User

from . import lockout, usecases


async def proven(
    database: Database, pages: Pages, caller: Caller, password: str, *, pointer: str = "/password"
) -> User:
    """The person who asks. Raises Invalid for a wrong password, which counts like one at a log-in, AccountLocked, Forbidden."""
    usecases.check_is_person(caller)
    async with begin_as_system(database, caller) as work:
        user = await users.current_user(work)
        await lockout.check_lock(work, user.email)
    if await usecases.password_is_right(user, password):
        return user
    async with begin_as_system(database, caller) as work:
        await usecases.note_failure(work, pages, user.email, user)
    raise Invalid((FieldError(pointer=pointer, code="wrong-password", detail="This is not your password."),))
