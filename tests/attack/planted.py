"""Cookie headers that hold a cookie of a name, but not exactly once: what a sibling subdomain, or a
careless client, can send.
"""

from __future__ import annotations

from collections.abc import Callable


def _latin(text: str) -> str:
    """As a WSGI server gives a header: its bytes as Latin-1."""
    return text.encode().decode("latin-1")


#: Those with the real cookie and another of its name.
TWINS = {"twice", "once planted, once real", "once real, once planted", "empty twin"}

PLANTED: dict[str, Callable[[str, str], str]] = {
    "twice": lambda name, token: f"{name}={token}; {name}={token}",
    "once planted, once real": lambda name, token: f"{name}=planted; {name}={token}",
    "once real, once planted": lambda name, token: f"{name}={token}; {name}=planted",
    "empty twin": lambda name, token: f"{name}=; {name}={token}",
    "U+2000": lambda name, token: _latin(f"\u2000{name}={token}"),
    "U+00A0": lambda name, token: _latin(f"\u00a0{name}={token}"),
    "U+0085": lambda name, token: _latin(f"\u0085{name}={token}"),
    "U+3000 after": lambda name, token: _latin(f"{name}\u3000={token}"),
    "byte A0": lambda name, token: f"\xa0{name}={token}",
    "byte 85": lambda name, token: f"\x85{name}={token}",
    "vertical tab": lambda name, token: f"\x0b{name}={token}",
    "space before =": lambda name, token: f"{name} ={token}",
    "unprefixed": lambda name, token: f"{name.rpartition('-')[2]}={token}",
    "other prefix": lambda name, token: f"__Other-{name.rpartition('-')[2]}={token}",
    "lower case": lambda name, token: f"{name.lower()}={token}",
    "nameless": lambda name, token: f"={name}={token}",
    "no value": lambda name, token: name,
    "quoted": lambda name, token: f'{name}="{token}"',
    "quoted as octal": lambda name, token: f'{name}="\\{ord(token[0]):03o}{token[1:]}"',
    "percent": lambda name, token: f"{name}=%{ord(token[0]):02X}{token[1:]}",
    "truncated": lambda name, token: f"{name}={token[:-1]}",
    "longer": lambda name, token: f"{name}={token}A",
    "padded": lambda name, token: f"{name}={token}=",
    "of another installation": lambda name, token: f"{name}={'Q' * len(token)}",
    "space inside": lambda name, token: f"{name}={token[:9]} {token[9:]}",
    "comma": lambda name, token: f"{name}={token}, {name}={token}",
    "endless": lambda name, token: f"{name}={token * 20}",
    "empty": lambda name, token: "",
}
