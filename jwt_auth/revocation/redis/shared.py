"""Revocation in a service that shares only the issuer's Redis, which it can't write to.

The hashes are those of :class:`jwt_auth.revocation.redis.backend.RedisRevocation` at the issuer,
and the same rules decide when a hash can be believed. Where the issuer would then ask its database,
this service asks the issuer, with the same token: no hash, an incomplete one, a revocation that is
under way, or a Redis that has failed. The issuer completes the hash for that request, so the next
ones are answered by Redis again.

A service that can't ask the issuer either doesn't know whether the token is revoked. It answers
503, and not 401, which would log the client out.
"""

from __future__ import annotations

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.checks import CheckMessage

from jwt_auth.check_messages import error, warning
from jwt_auth.conf import conf
from jwt_auth.exceptions import RevocationUnknown
from jwt_auth.revocation.issuer import Issuer
from jwt_auth.revocation.redis.checks import check_cache, check_server
from jwt_auth.revocation.redis.keys import IssuerKeys
from jwt_auth.revocation.redis.reader import HashReader
from jwt_auth.revocation.redis.user_hash import Verdict
from jwt_auth.revocation.token_user import TokenUser, user_of
from jwt_auth.tokens.claims import AccessToken


class SharedRedis(HashReader):
    """Answers from the issuer's Redis, and asks the issuer where Redis has no answer.

    Options: ``VERIFY_URL``, the address of the issuer's ``verify/``, and ``VERIFY_TIMEOUT``, the
    seconds that it has to answer; ``CACHE``, the name of a django-redis cache; ``TIMEOUT`` of each
    command in seconds; ``TTL`` and ``PREFIX`` as at the issuer.
    """

    maps_users = True

    def __init__(
        self,
        VERIFY_URL: str,  # noqa: N803  options are written as Django writes them
        CACHE: str = "default",  # noqa: N803
        TTL: float = 60,  # noqa: N803
        TIMEOUT: float = 0.25,  # noqa: N803
        VERIFY_TIMEOUT: float = 2,  # noqa: N803
        PREFIX: str | None = None,  # noqa: N803
    ) -> None:
        super().__init__(
            CACHE, ttl=TTL, timeout=TIMEOUT, keys=IssuerKeys(PREFIX), authority="the issuer"
        )
        self._issuer = Issuer(VERIFY_URL, timeout=float(VERIFY_TIMEOUT))

    def get_user(self, token: AccessToken) -> AbstractBaseUser | TokenUser:
        if not self._is_known_good(token):
            raise RevocationUnknown("Redis has no answer, and the issuer needs the token's text.")
        return user_of(token)

    def get_presented_user(self, token: AccessToken, text: str) -> AbstractBaseUser | TokenUser:
        if not self._is_known_good(token):
            self._issuer.require_good(text)
        return user_of(token)

    def _is_known_good(self, token: AccessToken) -> bool:
        """Whether Redis can be believed and accepts the token.

        Raises:
            AccessTokenRefused: Redis can be believed and refuses it.
        """
        asked = self._ask(token)
        if asked is None:
            return False
        found, run = asked
        return found.judge(token, run=run) is Verdict.GOOD

    def _probe(self) -> None:
        """Ask all servers for a sign of life, and read a hash that nobody has.

        A server that refuses writes and still answers reads isn't noticed here. Then a revocation
        takes effect when the hash expires.
        """
        for failure in self.client.ping().values():
            raise failure
        self.client.call("HMGET", self.keys.of_user(""), "run")

    # ---- Checks

    def check(self) -> list[CheckMessage]:
        messages = list(check_cache(self._cache))
        if fault := self._issuer.find_fault():
            line = '"VERIFY_URL": "https://auth.example.com/api/auth/verify/"'
            messages.append(
                error("E086", f"VERIFY_URL of JWT_AUTH_REVOCATION {fault}.", f"Write {line}")
            )
        if conf.jwks_url is None:
            messages.append(
                error(
                    "E087",
                    "SharedRedis is for services that verify another service's tokens, but "
                    "JWT_AUTH_JWKS_URL is not set.",
                    "Write JWT_AUTH_JWKS_URL, or name RedisRevocation at the issuer itself.",
                )
            )
        return messages

    def check_server(self) -> list[CheckMessage]:
        messages = list(check_server(self.client, self.keys.probe(), authority="the issuer"))
        if failure := self._issuer.find_failure():
            messages.append(
                warning(
                    "W087",
                    f"The issuer can't be asked about tokens: {failure}",
                    "Check VERIFY_URL of JWT_AUTH_REVOCATION, and that the issuer is up.",
                )
            )
        return messages
