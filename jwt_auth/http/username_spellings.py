"""Count login attempts once for all spellings of a user name that find the same account.

A database that ignores case or accents finds the account "boss" by "Boss" and "böss", too. Counted
one by one, each spelling would give an attacker further guesses at the same password.

The counts depend only on the name, not on whether the account exists: otherwise an attacker could
find out which names exist.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections

from jwt_auth.models import write_database

#: Unicode's categories of characters that only modify a letter or are invisible: marks, format and
#: control characters.
_IGNORED: Final = frozenset({"Mn", "Me", "Cf", "Cc"})


def count_names(username: str) -> list[str]:
    """Return the keys that attempts with this user name are counted under.

    One is made from the name's letters. On MariaDB and MySQL, another one is the collation's weight
    of the name.
    """
    weight = _weigh(username)
    letters = f"letters {_letters_of(username)}"
    return [letters] if weight is None else [letters, f"weight {weight}"]


def _letters_of(username: str) -> str:
    """Return the name's letters without case and accents.

    Names with the same letters may be equal to a case-insensitive lookup, to ``citext``, to another
    authentication backend, or under a collation of PostgreSQL or SQLite.
    """
    letters = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", username)
        if unicodedata.category(letter) not in _IGNORED
    )
    # To upper case first: PostgreSQL's UPPER() gives "i" and the dotless i the same letter.
    return letters.strip().upper().casefold()


def _weigh(username: str) -> str | None:
    """Return, in hex, the weight that MariaDB and MySQL compare instead of the name itself.

    Which names are equal depends on the column's collation: one takes "boss", "böss" and "boßs" for
    the same name, another one "boss" and "boß". Trailing blanks are ignored. For other databases,
    the weight is ``None``.
    """
    model = get_user_model()
    connection = connections[write_database(model)]
    if connection.vendor != "mysql":
        return None
    field: Any = model._meta.get_field(model.USERNAME_FIELD)
    quote = connection.ops.quote_name
    column, table = quote(field.column), quote(field.model._meta.db_table)
    # The union gives the name the collation of the column. No row is read.
    sql = (
        "SELECT HEX(WEIGHT_STRING(name)), HEX(WEIGHT_STRING(blank)) FROM "  # noqa: S608  quoted
        f"(SELECT {column} AS name, {column} AS blank FROM {table} "
        "WHERE FALSE UNION ALL SELECT %s, ' ') names"
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql, [username])
            weight, blank = cursor.fetchone()
    except DatabaseError:
        # The column's character set can't represent the name, or the database is down, and then
        # the login itself fails a moment later.
        return None
    while blank and weight.endswith(blank):
        weight = weight.removesuffix(blank)
    return str(weight)
