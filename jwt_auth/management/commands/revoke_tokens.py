"""``manage.py revoke_tokens``: end sessions and access tokens at once, from a shell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from jwt_auth import flows
from jwt_auth.conf import MAX_ACCESS_TOKEN_LIFETIME, conf
from jwt_auth.management.base import JWTAuthCommand
from jwt_auth.management.denials import write_pending_denials
from jwt_auth.models import JTI_LENGTH, Reason, write_database


class Command(JWTAuthCommand):
    help = "Ends sessions at once, or refuses one access token by its jti."
    needs_sessions = True

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--user", metavar="U", help="a user name, otherwise a primary key")
        what.add_argument("--session", metavar="SID", help="a sid claim or an id in the admin")
        what.add_argument("--jti", metavar="JTI", help="the jti claim of one access token")
        what.add_argument("--all", action="store_true", help="every session of every user")
        parser.add_argument(
            "--keep-sessions",
            action="store_true",
            help="with --user: refuse the access tokens only; the next ones have the current roles",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        if options["keep_sessions"] and options["user"] is None:
            raise CommandError("--keep-sessions is for the sessions of one user: add --user.")
        if options["user"] is not None:
            keep_sessions = options["keep_sessions"]
            self._revoke_user(options["user"], keep_sessions=keep_sessions, now=now)
        elif options["session"] is not None:
            self._revoke_session(options["session"], now=now)
        elif options["jti"] is not None:
            self._deny_token(options["jti"], now=now)
        else:
            ended = flows.end_all_sessions(reason=Reason.ADMINISTRATOR, client=None, now=now)
            self.stdout.write(f"Ended {ended} sessions of all users.")
        write_pending_denials()

    def _revoke_user(self, name: str, *, keep_sessions: bool, now: datetime) -> None:
        user = _find_user(name)
        if user is None:
            raise CommandError("There is no user with this name or primary key: check --user.")
        if keep_sessions:
            kept = flows.revoke_access_tokens(user.pk, client=None, now=now)
            sessions = f"Kept {kept} sessions of the user."
        else:
            reason = Reason.ADMINISTRATOR
            ended = flows.end_user_sessions(user.pk, reason=reason, client=None, now=now)
            sessions = f"Ended {len(ended)} sessions of the user."
        self.stdout.write(f"{sessions} Access tokens issued to the user until now are refused.")

    def _revoke_session(self, text: str, *, now: datetime) -> None:
        try:
            session_id = UUID(text)
        except ValueError:
            raise CommandError(
                "The session id is not a UUID: give the value of the token's sid claim."
            ) from None
        if not flows.end_session(session_id, reason=Reason.ADMINISTRATOR, client=None, now=now):
            raise CommandError("There is no such session, or it has ended already.")
        self.stdout.write("Ended the session.")

    def _deny_token(self, jti: str, *, now: datetime) -> None:
        if not 0 < len(jti) <= JTI_LENGTH or not jti.isprintable() or "." in jti:
            raise CommandError(
                "This is not a jti: give the value of the token's jti claim, not the token itself."
            )
        # The token's exp is unknown here, so the denial lasts as long as any token can.
        expires_at = now + MAX_ACCESS_TOKEN_LIFETIME + conf.clock_leeway
        flows.deny_token(jti, user_id=None, expires_at=expires_at, now=now)
        self.stdout.write("The access token with this jti is refused from now on.")


def _find_user(name: str) -> Any | None:
    user_model = get_user_model()
    # Not the default manager: a user that it hides may still have sessions to end.
    users = user_model._base_manager.using(write_database(user_model))
    try:
        by_name = users.filter(**{user_model.USERNAME_FIELD: name}).first()
        return by_name or users.filter(pk=name).first()
    except (ValueError, ValidationError, OverflowError):
        return None
