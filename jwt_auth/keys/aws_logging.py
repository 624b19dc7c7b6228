"""No word of boto3's in a log while keys or tokens are in its hands.

Its DEBUG records have the whole of a request and of its answer. From Secrets Manager those are the
private keys. To KMS, with Ed25519, they are a token and its signature.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_silence: Final = threading.local()


@contextmanager
def hushed() -> Iterator[None]:
    """Keep the DEBUG records of this thread's requests out of every log.

    :func:`hush_loggers` must have been called once the client was made.
    """
    _silence.on = True
    try:
        yield
    finally:
        _silence.on = False


def hush_loggers() -> None:
    """Give all loggers of boto3 and botocore the filter; twice is once."""
    # A filter sees only what is logged to its own logger, not what comes from those below.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("boto3", "botocore"):
            logging.getLogger(name).addFilter(_is_loud)


def _is_loud(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG or not getattr(_silence, "on", False)
