"""What a client of Redis raises, as one kind of error that quotes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions
from redis.exceptions import RedisError


@contextmanager
def outage() -> Iterator[None]:
    """Whatever a client raises, of whatever type, is an outage: the database answers then."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  a client may raise anything
        raise as_redis_error(error) from None


def is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError | exceptions.TimeoutError)


def as_redis_error(error: Exception) -> RedisError:
    """The same as an error of redis-py's, which says what failed and nothing that may stand in a
    cache's LOCATION: with a character too many in the password a part of it reads as host or port.
    """
    if isinstance(error, exceptions.ResponseError):
        return error
    if isinstance(error, RedisError) and error.status_code is not None:
        return error  # what the server has said, by its code
    if is_timeout(error):
        return exceptions.TimeoutError("no answer in time")
    return exceptions.ConnectionError(_reason_of(error))


def _reason_of(error: BaseException) -> str:
    kind = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        # The system's words for its own number, or OpenSSL's for what is wrong with a certificate.
        if isinstance(cause, OSError) and cause.strerror:
            return f"{kind}: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return kind
