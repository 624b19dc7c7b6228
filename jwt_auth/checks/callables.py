"""The project's callables: whether each can be imported, and called as it will be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any

from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from jwt_auth.check_messages import setting_error
from jwt_auth.conf import conf


@dataclass(frozen=True, slots=True, kw_only=True)
class _Called:
    """A callable of the project: its setting, and how it is called."""

    number: str
    setting: str
    path: Any
    takes: str
    #: How many arguments it is given by position.
    given: int = 1
    #: Those that it is given by name. Of several ways, it may accept any.
    named: tuple[tuple[str, ...], ...] = ((),)
    line: str


def check_callables() -> Iterator[CheckMessage]:
    for called in _find_callables():
        if called.path is not None and (fault := _find_fault(called)) is not None:
            yield setting_error(
                called.number,
                called.setting,
                f"must be the dotted path of a callable that {called.takes}, or None.{fault}",
                f'"{called.line}"',
            )


def _find_callables() -> Iterator[_Called]:
    yield _Called(
        number="E021",
        setting="CLAIMS",
        path=conf.claims,
        takes="takes the user",
        named=((), ("session_claims",)),
        line="example.accounts.claims_of",
    )
    yield _Called(
        number="E022",
        setting="ROLES",
        path=conf.roles,
        takes="takes the user",
        line="example.accounts.roles_of",
    )
    yield _Called(
        number="E075",
        setting="TENANT",
        path=conf.tenant,
        takes="takes nothing",
        given=0,
        line="example.tenants.name_of_tenant",
    )
    yield _Called(
        number="E111",
        setting="SESSION_LIFETIMES",
        path=conf.session_lifetimes,
        takes="takes the user, remember_me and client, and returns two timedeltas",
        named=(("remember_me", "client"),),
        line="example.users.lifetimes",
    )
    yield _Called(
        number="E112",
        setting="NEW_DEVICE_HOOK",
        path=conf.new_device_hook,
        takes="takes the user and the session",
        given=2,
        line="jwt_auth.mail.new_device.send_notice",  # it mails the user
    )
    yield _Called(
        number="E085",
        setting="LOCAL_USER",
        path=conf.local_user,
        takes="takes an access token",
        line="example.users.user_of",
    )


def _find_fault(called: _Called) -> str | None:
    """Return what the message adds if it can't be called, or ``None`` if it can."""
    try:
        found = import_string(called.path)
    except ImportError as error:
        return f" {error}."  # it names the module or the attribute
    except (AttributeError, TypeError, ValueError):
        return ""
    if not callable(found):
        return ""
    given = [None] * called.given
    faults = [fault_of_call(found, *given, **dict.fromkeys(names)) for names in called.named]
    return None if None in faults else f" The call of {called.path!r} would fail: {faults[0]}."


def fault_of_call(
    function: Callable[..., object], *args: object, **arguments: object
) -> str | None:
    """Say why a function can't be called with such arguments, by its signature alone."""
    try:
        signature(function).bind(*args, **arguments)
    except ValueError:
        pass  # some callables of C tell no signature
    except TypeError as reason:
        return str(reason)
    return None
