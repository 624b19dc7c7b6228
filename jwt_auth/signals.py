"""What happened, for the project's own receivers and for ``jwt_auth.audit``, which logs it.

Every signal is sent with ``send_robust``: a receiver that fails is logged by Django and can neither
undo a revocation nor turn an answer into a 500. No argument ever holds a token, a digest or private
key material. ``client`` is a :class:`jwt_auth.models.Client` (address and user agent) or ``None``.
"""

from __future__ import annotations

from django.dispatch import Signal

#: A log-in opened a session. Arguments: ``family``, ``client``.
session_opened = Signal()

#: A refresh token was exchanged for its successor. Arguments: ``family``, ``client``.
session_refreshed = Signal()

#: A retry was given the successor it had lost, or told that it came too late (``superseded``, a
#: bool). Arguments: ``family``, ``client``, ``superseded``.
refresh_retried = Signal()

#: Sessions ended. Arguments: ``user_id``, ``session_ids`` (list of UUID), ``reason``
#: (:class:`jwt_auth.models.Reason`), ``client``. Both are ``None`` where every session of everybody
#: ended.
session_ended = Signal()

#: A consumed refresh token came back and its family was ended. Arguments: ``family``,
#: ``generation`` (of the token that came back), ``client``, ``hint`` (what it most likely was if
#: not theft, or ``None``).
reuse_detected = Signal()

#: A refresh token whose tag is not ours. Arguments: ``client``.
refresh_token_forged = Signal()

#: A genuine refresh token was refused. Arguments: ``reason`` (a short code), ``session_id``,
#: ``client``.
refresh_token_refused = Signal()

#: An access token was refused. Arguments: ``reason`` (:class:`jwt_auth.exceptions.Refusal`),
#: ``token`` (:class:`jwt_auth.tokens.claims.AccessToken` where all but its revocation was good,
#: else ``None``), ``client``.
token_refused = Signal()

#: A single access token was denied by its ``jti``. Arguments: ``jti``, ``user_id`` (or ``None``).
token_denied = Signal()

#: The key ring was loaded or saved, a key changed its state or was exported, or any of that was
#: refused. Arguments: ``event`` (``"loaded"``, ``"saved"``, ``"published"``, ``"activated"``,
#: ``"superseded"``, ``"expired"``, ``"retired"``, ``"compromised"``, ``"exported"``,
#: ``"refused"``), ``kid`` (of the key that it is about, else ``None``), ``kids`` (of the whole
#: ring, where it was loaded or saved), ``store`` (the store's description), ``operation``
#: (``"load"`` or ``"save"``) and ``reason`` (a short code) of a refusal, else ``None``,
#: ``routine`` (true where a reload found nothing new), ``process``
#: (:class:`jwt_auth.startup.Process`: ``pid``, ``command``, ``system_user``).
key_event = Signal()

#: A log-in or a refresh was refused for its rate. Arguments: ``scope`` (of
#: ``JWT_AUTH_THROTTLE_RATES``), ``ident`` (a digest of the account, address or session).
attempt_throttled = Signal()

#: A request that a browser sent for another site's page was refused. Arguments: ``path``,
#: ``client``, ``reason`` (``"origin"``, or ``"csrf_token"`` where an access token came in a cookie
#: without it).
cross_site_refused = Signal()
