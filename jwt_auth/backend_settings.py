"""The settings of ``BACKEND`` and ``OPTIONS``: the key store, the signer, the revocation backend.

The checks report what is raised here, so ``manage.py check`` and a request say the same. No message
quotes an option's value, which may be a password.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from inspect import Parameter, isabstract, signature
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from jwt_auth.forks import renew_if_forked

T = TypeVar("T")

#: Parameters that give an option no name.
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


class BackendSetting(Generic[T]):
    """One such setting, with the instance that was built for its present value."""

    def __init__(self, name: str, base: type[T]) -> None:
        self._name = name
        self._base = base
        self._built: tuple[Any, T] | None = None

    def get_instance(self, value: Any) -> T:
        """Give the backend that the value names, built once for equal values.

        Raises:
            ImproperlyConfigured: the backend does not exist, or does not accept the options.
        """
        renew_if_forked()
        built = self._built
        if built is None or built[0] != value:
            built = self._built = (_copy(value), _build(self._name, self._base, value))
        return built[1]

    def forget_instance(self) -> None:
        """Have the next use build a new one."""
        self._built = None


def _copy(value: Any) -> Any:
    """Copy the value, so that a change in place shows; a value that has no equal copy stays."""
    try:
        copied = copy.deepcopy(value)
    except Exception:  # noqa: BLE001  a lock and a TLS context, for example, can't be copied
        return value
    return copied if copied == value else value


def _build(name: str, base: type[T], value: object) -> T:
    match value:
        case {"BACKEND": str(path), **rest} if rest.keys() <= {"OPTIONS"}:
            options = rest.get("OPTIONS", {})
        case _:
            raise ImproperlyConfigured(
                f"{name} must be a dict with BACKEND, a dotted path, and optionally OPTIONS."
            )
    backend = _import(name, base, path)
    if not isinstance(options, Mapping):
        raise ImproperlyConfigured(f"{name} has OPTIONS that are not a dict.")
    _require_names(name, backend, options)
    try:
        return backend(**options)
    except Exception as error:  # noqa: BLE001  its text may quote the value
        # Most often the value is None, from an environment variable that is not set.
        raise ImproperlyConfigured(
            f"{name} has a value in OPTIONS that {backend.__name__} can't work with "
            f"({type(error).__name__}). Check that each value is set and has the right type."
        ) from None


def _import(name: str, base: type[T], path: str) -> type[T]:
    try:
        found = import_string(path)
    except Exception as error:
        # Only an ImportError is quoted: it names a module, or the extra to install. Others may
        # come from anything that the module does.
        reason = error if isinstance(error, ImportError) else type(error).__name__
        message = f"{name} names {path}, which can't be imported: {reason}"
        raise ImproperlyConfigured(message) from error
    if not isinstance(found, type) or not issubclass(found, base) or isabstract(found):
        raise ImproperlyConfigured(
            f"{name} names {path}, which is not a concrete subclass of {base.__name__}."
        )
    return found


def _require_names(name: str, backend: type[object], options: Mapping[str, Any]) -> None:
    accepted = signature(backend)
    try:
        accepted.bind(**options)
    except TypeError as error:
        parameters = accepted.parameters.values()
        names = [each.name for each in parameters if each.kind not in _VARIADIC]
        raise ImproperlyConfigured(
            f"{name} has wrong OPTIONS: {error}. {backend.__name__} accepts "
            f"{', '.join(names) or 'none'}."
        ) from None
