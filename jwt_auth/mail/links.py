"""Messages with a link that has a one-time token in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ImproperlyConfigured
from django.utils.timesince import timesince

from jwt_auth import counting, flows
from jwt_auth.mail import composing
from jwt_auth.users import address_of, canonical_address


def send_link(
    purpose: str, user: AbstractBaseUser, *, url: str | None, lifetime: timedelta
) -> None:
    """Issue a token for a purpose, and mail the page at ``url`` with it. The kind is the purpose.

    A mailbox gets only as many links of a kind as the rate ``mailbox`` allows, whatever the number
    of the users with that address. Others can have links sent there.

    Raises:
        ImproperlyConfigured: there is no page to link to.
        KeyFailure: no key can sign.
    """
    if url is None:
        raise ImproperlyConfigured(f"A message ({purpose}) has no page to link to.")
    now = datetime.now(UTC)
    if not address_of(user) or _is_over_rate(purpose, user, now):
        return
    token = flows.issue_one_time_token(user, purpose=purpose, lifetime=lifetime, now=now)
    context = {
        "url": url.replace("{token}", token),
        "lifetime": timesince(now, now + lifetime).replace("\N{NO-BREAK SPACE}", " "),
        **composing.site_context(url),
    }
    composing.send(purpose, user, context)


def _is_over_rate(purpose: str, user: AbstractBaseUser, now: datetime) -> bool:
    # Each kind by itself: a stranger who has registered someone's address can ask for confirmations
    # at will, and they must not use up the links by which its owner sets a new password.
    mailbox = f"{purpose} {canonical_address(address_of(user))}"
    attempt = counting.count("mailbox", mailbox, now=now.timestamp())
    return attempt is not None and attempt.retry_after is not None
