"""Forms of Django's pages, as a browser sends them."""

from __future__ import annotations

import re

import requests


def submit(client: requests.Session, page: str, **fields: str) -> requests.Response:
    """Fill a page's form in and send it: the page's token and its address go along."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(page).text)
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1], **fields}
    headers = {"Referer": f"{client.address}{page}"}  # type: ignore[attr-defined]  # live.site.Client
    return client.post(page, data=form, headers=headers, allow_redirects=False)
