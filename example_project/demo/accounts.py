"""The users of the demo. `manage.py demo` creates them, and the page logs in as one of them."""

from dataclasses import dataclass

PASSWORD = "only-for-the-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user that the demo creates; both have the same password, which README.md shows."""

    username: str
    groups: tuple[str, ...]
    tenant: str = ""
    is_administrator: bool = False


ACCOUNTS = (
    Account(username="demo", groups=("editor", "support"), tenant="acme"),
    Account(username="demo-admin", groups=("admin",), is_administrator=True),
)
