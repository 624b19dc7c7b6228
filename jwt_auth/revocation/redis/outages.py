"""Translate all errors of Redis clients into redis-py's, without quoting any configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.exceptions import RedisError


@contextmanager
def outage() -> Iterator[None]:
    """Turn any error of a client into a RedisError, so that the database answers the request."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  a client may raise anything
        raise as_redis_error(error) from None


def is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError | exceptions.TimeoutError)


def as_redis_error(error: Exception) -> RedisError:
    """Return a RedisError that says what failed and quotes nothing from the cache's LOCATION.

    If the password in a URL contains an unescaped character, a part of the password is parsed as
    host or port, and would be quoted in the original error.
    """
    if isinstance(error, exceptions.ResponseError):
        return error
    if isinstance(error, RedisError) and error.status_code is not None:
        return error  # the server's answer, by its code
    if is_timeout(error):
        return exceptions.TimeoutError("no answer in time")
    return exceptions.ConnectionError(_reason_of(error))


def _reason_of(error: BaseException) -> str:
    kind = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        # The system's text for an error number, or OpenSSL's text for a wrong certificate.
        if isinstance(cause, OSError) and cause.strerror:
            return f"{kind}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return kind
