"""The signals of security events, for the project's receivers and for the log (``jwt_auth.audit``).

Every signal is sent with ``send_robust``. If a receiver fails, Django logs the error: it can
neither undo a revocation nor turn a response into a 500. No argument ever holds a token, a digest
or private key material. ``client`` is a :class:`jwt_auth.models.Client` (address and user agent) or
``None``.
"""

from __future__ import annotations

from django.dispatch import Signal

#: A login opened a session. Arguments: ``family``, ``client``.
session_opened = Signal()

#: A refresh token was exchanged for its successor. Arguments: ``family``, ``client``.
session_refreshed = Signal()

#: A retry of a refresh got the same successor again, or was refused because it came too late
#: (``superseded``, a bool). Arguments: ``family``, ``client``, ``superseded``.
refresh_retried = Signal()

#: Sessions ended. Arguments: ``user_id``, ``session_ids`` (list of UUID), ``reason``
#: (:class:`jwt_auth.models.Reason`), ``client``. ``user_id`` and ``session_ids`` are ``None`` if
#: all sessions of all users ended.
session_ended = Signal()

#: A consumed refresh token was presented again and its family was ended. Arguments: ``family``,
#: ``generation`` (of the presented token), ``client``, ``hint`` (the most likely cause other than
#: theft, or ``None``).
reuse_detected = Signal()

#: A refresh token was presented whose tag (HMAC) this server didn't make. Arguments: ``client``.
refresh_token_forged = Signal()

#: A genuine refresh token was refused. Arguments: ``reason`` (a short code), ``session_id``,
#: ``client``.
refresh_token_refused = Signal()

#: An access token was refused. Arguments: ``reason`` (:class:`jwt_auth.exceptions.Refusal`),
#: ``token`` (:class:`jwt_auth.tokens.claims.AccessToken` if the token itself was valid but its
#: user, session or ``jti`` was refused, otherwise ``None``), ``client``.
token_refused = Signal()

#: A one-time token was used, and what it allows was done and committed. Arguments: ``user``,
#: ``purpose``, ``client``.
one_time_token_used = Signal()

#: A one-time token was refused. Arguments: ``purpose`` (the one that was asked for), ``reason``
#: (:class:`jwt_auth.exceptions.Refusal`), ``user_id`` (as the token says, or ``None`` if the token
#: itself isn't valid), ``client``.
one_time_token_refused = Signal()

#: A user has confirmed their email address. Arguments: ``user``, ``client``.
email_confirmed = Signal()

#: A single access token was denied by its ``jti``. Arguments: ``jti``, ``user_id`` (or ``None``).
token_denied = Signal()

#: All access tokens of a user were refused, and their sessions go on. Arguments: ``user_id``,
#: ``client``.
access_tokens_revoked = Signal()

#: A service client was refused. Arguments: ``service`` (:class:`jwt_auth.models.ServiceClient`, or
#: ``None`` if there is none with the id), ``client``.
service_client_refused = Signal()

#: A service client was created or deactivated. Arguments: ``service``, ``event`` (``"created"`` or
#: ``"deactivated"``).
service_client_changed = Signal()

#: The key ring was loaded or saved, a key changed its state or was exported, or loading or saving
#: failed. Arguments: ``event`` (``"loaded"``, ``"saved"``, ``"published"``, ``"activated"``,
#: ``"superseded"``, ``"expired"``, ``"retired"``, ``"compromised"``, ``"exported"``,
#: ``"refused"``), ``kid`` (of the key that the event is about, otherwise ``None``), ``kids`` (of
#: the whole ring if it was loaded or saved), ``store`` (the store's description), ``operation``
#: (``"load"`` or ``"save"``) and ``reason`` (a short code) of a refusal, otherwise ``None``,
#: ``routine`` (true if a reload found nothing new), ``process``
#: (:class:`jwt_auth.startup.Process`: ``pid``, ``command``, ``system_user``).
key_event = Signal()

#: A login or a refresh was refused because there were too many attempts. Arguments: ``scope`` (a
#: key of ``JWT_AUTH_THROTTLE_RATES``), ``ident`` (a digest of the account, address or session).
attempt_throttled = Signal()

#: A request that a browser may have sent for another site's page was refused. Arguments: ``path``,
#: ``client``, ``reason`` (``"origin"``, or ``"csrf_token"`` if the access token came in a cookie
#: and the CSRF token was missing or wrong).
cross_site_refused = Signal()
