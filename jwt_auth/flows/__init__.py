"""The use cases, one function each, for views, the admin, commands and a project's own code.

They don't depend on a request or on REST framework. ``now`` is an aware datetime; ``client`` says
where the request came from.
"""

from jwt_auth.flows.bearer import aauthenticate, authenticate
from jwt_auth.flows.ending import (
    deny_token,
    end_all_sessions,
    end_deleted_user,
    end_session,
    end_user_sessions,
    log_out,
    log_out_everywhere,
    revoke,
)
from jwt_auth.flows.issuing import Issued
from jwt_auth.flows.listing import list_sessions
from jwt_auth.flows.opening import log_in
from jwt_auth.flows.passwords import change_password
from jwt_auth.flows.refreshing import refresh
from jwt_auth.flows.service_clients import (
    create_service_client,
    deactivate_service_client,
    verify_service_client,
)

__all__ = [
    "Issued",
    "aauthenticate",
    "authenticate",
    "change_password",
    "create_service_client",
    "deactivate_service_client",
    "deny_token",
    "end_all_sessions",
    "end_deleted_user",
    "end_session",
    "end_user_sessions",
    "list_sessions",
    "log_in",
    "log_out",
    "log_out_everywhere",
    "refresh",
    "revoke",
    "verify_service_client",
]
