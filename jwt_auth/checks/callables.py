"""The project's callables: whether each can be imported, and called as it will be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from typing import Any, Final

from django.core.checks import CheckMessage
from django.utils.module_loading import import_string

from jwt_auth.check_messages import setting_error
from jwt_auth.conf import conf


@dataclass(frozen=True, slots=True)
class _Called:
    """A setting that names a callable, and how that is called."""

    number: str
    setting: str
    takes: str
    #: A good value, for the hint.
    line: str
    #: How many arguments it is given by position.
    given: int = 1
    #: Those that it is given by name. Of several ways, it may accept any.
    named: tuple[tuple[str, ...], ...] = ((),)


_CALLED: Final = (
    _Called(
        "E021",
        "CLAIMS",
        "takes the user",
        "example.accounts.claims_of",
        named=((), ("session_claims",)),
    ),
    _Called("E022", "ROLES", "takes the user", "example.accounts.roles_of"),
    _Called("E075", "TENANT", "takes nothing", "example.tenants.name_of_tenant", given=0),
    _Called(
        "E111",
        "SESSION_LIFETIMES",
        "takes the user, remember_me and client, and returns two timedeltas",
        "example.users.lifetimes",
        named=(("remember_me", "client"),),
    ),
    _Called(
        "E112",
        "NEW_DEVICE_HOOK",
        "takes the user and the session",
        "jwt_auth.mail.new_device.send_notice",  # it mails the user
        given=2,
    ),
    _Called("E085", "LOCAL_USER", "takes an access token", "example.users.user_of"),
)


def check_callables() -> Iterator[CheckMessage]:
    for called in _CALLED:
        path = getattr(conf, called.setting.lower())
        if path is not None and (fault := _find_fault(called, path)) is not None:
            yield setting_error(
                called.number,
                called.setting,
                f"must be the dotted path of a callable that {called.takes}, or None.{fault}",
                f'"{called.line}"',
            )


def _find_fault(called: _Called, path: Any) -> str | None:
    """Return what the message adds if it can't be called, or ``None`` if it can."""
    found, fault = import_callable(path)
    if found is None:
        return f" {path!r} {fault}."
    given = [None] * called.given
    faults = [fault_of_call(found, *given, **dict.fromkeys(names)) for names in called.named]
    return None if None in faults else f" The call of {path!r} would fail: {faults[0]}."


def import_callable(path: Any) -> tuple[Callable[..., object] | None, str]:
    """Import a callable, or say what is wrong with its path."""
    try:
        found = import_string(path)
    except ImportError as error:
        return None, f"can't be imported: {error}"  # it names a module, or a package to install
    except Exception as error:  # noqa: BLE001  from anything that the module does
        return None, f"can't be imported: {type(error).__name__}"
    # signature() would quote the value, which may be a secret.
    return (found, "") if callable(found) else (None, "isn't callable")


def fault_of_call(
    function: Callable[..., object], *args: object, **arguments: object
) -> str | None:
    """Say why a function can't be called with such arguments, by its signature alone.

    That is the signature of its outermost decorator, which is what will be called.
    """
    try:
        signature(function, follow_wrapped=False).bind(*args, **arguments)
    except ValueError:
        pass  # some callables of C tell no signature
    except TypeError as reason:
        return str(reason)
    return None
