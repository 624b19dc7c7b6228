"""Messages: whether they can be handed over, composed and sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any, Final

import django
from django.conf import settings
from django.core import mail
from django.core.checks import CheckMessage
from django.core.mail.backends.smtp import EmailBackend
from django.template import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template
from django.utils.module_loading import import_string

from jwt_auth.check_messages import error, setting_error, setting_line, warning
from jwt_auth.checks.callables import fault_of_call, import_callable
from jwt_auth.conf import conf
from jwt_auth.mail.composing import PARTS, template_name
from jwt_auth.mail.delivery import KINDS
from jwt_auth.mail.dispatch import at_once

#: What Django writes as the sender if a project names none.
_NO_SENDER: Final = "webmaster@localhost"

#: The modules of Django's mail backends that send nothing, and what they do instead.
_UNSENT: Final = {
    "django.core.mail.backends.console": "prints messages, with links that can be used",
    "django.core.mail.backends.dummy": "drops messages",
    "django.core.mail.backends.filebased": "writes messages, with links that can be used, to files",
    "django.core.mail.backends.locmem": "keeps messages in memory",
}

_IN_REQUEST: Final = "sends each message in the request"

#: The backends of tasks that have no worker, and what becomes of a message there.
_WORKERLESS: Final = {
    "ImmediateBackend": _IN_REQUEST,
    "DummyBackend": "sends no message",
}

_HAS_MAILERS: Final = django.VERSION >= (6, 1)


def check_mail_dispatcher() -> Iterator[CheckMessage]:
    path = conf.mail_dispatcher
    found, fault = import_callable(path)
    reasons = [f"which {fault}"] if found is None else _faults_of(found)
    for reason in reasons[:1]:
        yield setting_error("E108", "MAIL_DISPATCHER", f"is {path!r}, {reason}.")


def _faults_of(dispatcher: Callable[..., object]) -> list[str]:
    """Say why it can't be given each kind of message, with what composes that."""
    calls = [(kind, (*signature(send).parameters, "language")) for kind, send in KINDS.items()]
    faults = [fault_of_call(dispatcher, kind, **dict.fromkeys(names)) for kind, names in calls]
    return [f"and its call would fail: {fault}" for fault in faults if fault is not None]


def check_mail_deployment() -> Iterator[CheckMessage]:
    """Check what only a server needs, if the project has a message sent."""
    pages = {
        "password_reset": conf.password_reset_url,
        "email_confirmation": conf.email_confirmation_url,
        "new_device": conf.new_device_hook,
    }
    kinds = [kind for kind, setting in pages.items() if setting is not None]
    if not kinds or conf.jwks_url is not None:
        return
    yield from _check_templates(kinds)
    yield from _check_in_request()
    if settings.DEFAULT_FROM_EMAIL == _NO_SENDER:
        yield warning(
            "W108",
            f"DEFAULT_FROM_EMAIL is {_NO_SENDER}, Django's own: mail servers refuse such messages.",
            'Write DEFAULT_FROM_EMAIL = "Example <accounts@example.com>"',
        )
    yield from _check_backend()


def _check_templates(kinds: list[str]) -> Iterator[CheckMessage]:
    for name in (template_name(kind, part) for kind in kinds for part in PARTS):
        try:
            get_template(name)
        except (TemplateDoesNotExist, TemplateSyntaxError) as reason:
            yield error(
                "E109",
                f"The template {name} can't be loaded ({type(reason).__name__}): the message would"
                " never be sent.",
                'Write "APP_DIRS": True in TEMPLATES, or correct your template of that name.',
            )


def _check_in_request() -> Iterator[CheckMessage]:
    path = conf.mail_dispatcher
    dispatcher = import_string(path)
    problem = f"which {_IN_REQUEST}" if dispatcher is at_once else _find_workerless(dispatcher)
    if problem is not None:
        yield error(
            "E110",
            f"JWT_AUTH_MAIL_DISPATCHER is {path!r}, {problem}: the time of an answer tells which"
            " addresses have an account, or no message arrives.",
            f"{setting_line('MAIL_DISPATCHER')}, or name a backend in TASKS that has a worker",
        )


def _find_workerless(dispatcher: Any) -> str | None:
    if getattr(dispatcher, "__module__", None) != "jwt_auth.mail.tasks":
        return None
    backend = import_string("jwt_auth.mail.tasks.deliver_message").get_backend()
    name = type(backend).__name__
    return f"and the {name} of TASKS {_WORKERLESS[name]}" if name in _WORKERLESS else None


def _check_backend() -> Iterator[CheckMessage]:
    try:
        backend: Any = mail.mailers.default if _HAS_MAILERS else mail.get_connection()
    except Exception as reason:  # noqa: BLE001  a backend may raise anything
        yield _backend_warning(f"can't be built ({type(reason).__name__})")
        return
    if (instead := _UNSENT.get(type(backend).__module__)) is not None:
        yield _backend_warning(instead)
    elif isinstance(backend, EmailBackend) and backend.timeout is None:
        line = '"timeout": 10 in the OPTIONS of MAILERS' if _HAS_MAILERS else "EMAIL_TIMEOUT = 10"
        yield warning(
            "W110",
            "Sending mail has no time-out: a mail server that hangs keeps a thread or a worker for"
            " ever, and two of them stop all messages of a process.",
            f"Write {line}",
        )


def _backend_warning(instead: str) -> CheckMessage:
    name = 'MAILERS["default"]' if _HAS_MAILERS else "EMAIL_BACKEND"
    example = "django.core.mail.backends.smtp.EmailBackend"
    value = f'MAILERS = {{"default": {{"BACKEND": "{example}"}}}}'
    line = value if _HAS_MAILERS else f'EMAIL_BACKEND = "{example}"'
    return warning("W109", f"The backend of {name} {instead}: nobody gets them.", f"Write {line}")
