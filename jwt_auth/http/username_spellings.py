"""What a user name's attempts are counted by, so that every spelling that finds an account counts
for it.

It follows from the name alone, whether there is such an account or not: a count that depends on the
account would tell a guesser which names exist.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections

from jwt_auth.models import write_database

#: Unicode's categories of what only changes or hides beside a letter: marks, formats, controls.
_NO_LETTERS: Final = frozenset({"Mn", "Me", "Cf", "Cc"})


def count_names(username: str) -> list[str]:
    """What the name is counted by: its letters, and its weight where the database compares so."""
    weight = _weigh(username)
    letters = f"letters {_letters_of(username)}"
    return [letters] if weight is None else [letters, f"weight {weight}"]


def _letters_of(username: str) -> str:
    """The bare letters in one case: what case-insensitive look-ups, ``citext``, other backends and
    the collations of PostgreSQL and SQLite may take for equal.
    """
    letters = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", username)
        if unicodedata.category(letter) not in _NO_LETTERS
    )
    # By upper case first: PostgreSQL's UPPER() makes one letter of "i" and of the "i" without dot.
    return letters.strip().upper().casefold()


def _weigh(username: str) -> str | None:
    """What MariaDB and MySQL compare instead of the name, in hex; other databases have no such.

    By its collation the column takes "boss", "böss" and "boßs" for one name, and another one takes
    "boß" for it. The blanks at the end don't count there.
    """
    model = get_user_model()
    connection = connections[write_database(model)]
    if connection.vendor != "mysql":
        return None
    field: Any = model._meta.get_field(model.USERNAME_FIELD)
    quote = connection.ops.quote_name
    column, table = quote(field.column), quote(field.model._meta.db_table)
    # The union gives the name the column's collation, whatever that is. No row is read.
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
        return None  # the column has no form for the name, or the log-in fails a moment later
    while blank and weight.endswith(blank):
        weight = weight.removesuffix(blank)
    return str(weight)
