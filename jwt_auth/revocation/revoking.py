"""Write a revocation: tell the backend, write to the database, tell the backend again.

With ``JWT_AUTH_DENY_FEED`` the revocation is also recorded for other services, in the same
transaction: the database has both or neither, whenever the process dies.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID, uuid5

from django.contrib.auth import get_user_model
from django.db import Error, transaction

from jwt_auth.conf import CLOCK_DIFFERENCE, conf
from jwt_auth.database_errors import remedy
from jwt_auth.models import RecordedDenial, RefreshTokenFamily, has_version_field, write_database
from jwt_auth.retries import retried
from jwt_auth.revocation.base import Denial, get_backend

logger: Final = logging.getLogger("jwt_auth")

T = TypeVar("T")

Kind: Final = RecordedDenial.Kind

#: The namespace of the ids that the records of tokens have.
_TOKENS: Final = UUID("5a2cf04e-2b0c-4f0b-9d0e-0a8f7c1f3d64")


def write_revocation(denial: Denial, write: Callable[[], T], *, now: datetime) -> T:
    """Write a revocation to the database between the two steps of the backend.

    The second step waits for the commit. The caller may be in an atomic block (the admin, a signal
    receiver), whose writes other connections can't see before the commit.
    """
    backend = get_backend()
    backend.deny(denial)
    database = write_database(RefreshTokenFamily)
    if conf.deny_feed:
        recorded = partial(_write_and_record, denial, write, now=now, database=database)
        result = retried(recorded, using=database)
    else:
        result = write()
    transaction.on_commit(partial(backend.confirm, denial), using=database)
    return result


def _write_and_record(denial: Denial, write: Callable[[], T], *, now: datetime, database: str) -> T:
    with transaction.atomic(using=database):
        result = write()
        # After the write, whose row locks keep others from issuing what is being revoked.
        rows = [RecordedDenial(recorded_at=now, **columns) for columns in _columns(denial, now=now)]
        # Only that of a token can be there already.
        records = RecordedDenial.objects.deciding()
        records.bulk_create(rows, ignore_conflicts=bool(denial.jtis))
        ids = [row.pk for row in rows]
        transaction.on_commit(partial(_date_commit, ids, database), using=database)
    return result


def _date_commit(ids: Sequence[UUID], database: str) -> None:
    rows = RecordedDenial.objects.using(database).filter(pk__in=ids)
    try:
        retried(lambda: rows.update(committed_at=datetime.now(UTC)), using=database)
    except Error as error:
        # The revocation is committed, and a denial without a date is told for longer than needed.
        logger.warning("A recorded denial could not be dated. %s", remedy(error))


def _columns(denial: Denial, *, now: datetime) -> Iterator[dict[str, Any]]:
    """What is denied, as the columns of a row for each kind."""
    if denial.session_ids:
        yield {"kind": Kind.SESSIONS, "value": _joined(denial.session_ids)}
    for jti in denial.jtis:
        # Once for each token, or a client that logs out again and again with one could fill the
        # feed, and the tokens of all users would be refused.
        yield {"id": uuid5(_TOKENS, jti), "kind": Kind.TOKEN, "value": jti}
    if denial.whole_user:
        subject, version = _find_user(denial.user_id)
        version = None if denial.deletes_user else version
        yield {"kind": Kind.USER, "value": subject, "token_version": version}
    elif not denial.session_ids and not denial.jtis:
        yield {"kind": Kind.EVERYONE, "value": str(int(now.timestamp()))}
        # The clock of another node may be ahead, and so the ``iat`` of a token that it has issued.
        # A retried refresh issues another token a while after the session was used last.
        window = max(conf.refresh_retry_window, conf.refresh_reuse_leeway) + CLOCK_DIFFERENCE
        ended = RefreshTokenFamily.objects.deciding().exclude(revoked_at=None)
        ids = list(ended.filter(last_used_at__gte=now - window).values_list("pk", flat=True))
        if ids:
            yield {"kind": Kind.SESSIONS, "value": _joined(ids)}


def _joined(session_ids: Sequence[UUID]) -> str:
    return " ".join(map(str, session_ids))


def _find_user(user_id: Any) -> tuple[str, int | None]:
    """Find the ``sub`` of a user as tokens have it, and the version after the revocation."""
    model = get_user_model()
    users = model._base_manager.using(write_database(model)).filter(pk=user_id)
    has_field = has_version_field(model)
    column = "token_version" if has_field else "jwt_auth_token_version__token_version"
    found = users.values_list("pk", column).first()
    return (str(user_id), None) if found is None else (str(found[0]), found[1])
