"""The use cases, one function each, for views, the admin, commands and a project's own code.

They don't depend on a request or on REST framework. ``now`` is an aware datetime; ``client`` says
where the request came from.
"""

from jwt_auth.flows.addresses import EMAIL_CONFIRMATION, confirm_address, is_email_confirmed
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
    revoke_access_tokens,
)
from jwt_auth.flows.issuing import Issued
from jwt_auth.flows.listing import list_sessions
from jwt_auth.flows.one_time_tokens import (
    issue_one_time_token,
    use_one_time_token,
    verify_one_time_token,
)
from jwt_auth.flows.opening import log_in
from jwt_auth.flows.passwords import PASSWORD_RESET, change_password, reset_password
from jwt_auth.flows.refreshing import refresh
from jwt_auth.flows.service_clients import (
    create_service_client,
    deactivate_service_client,
    verify_service_client,
)

__all__ = [
    "EMAIL_CONFIRMATION",
    "PASSWORD_RESET",
    "Issued",
    "aauthenticate",
    "authenticate",
    "change_password",
    "confirm_address",
    "create_service_client",
    "deactivate_service_client",
    "deny_token",
    "end_all_sessions",
    "end_deleted_user",
    "end_session",
    "end_user_sessions",
    "is_email_confirmed",
    "issue_one_time_token",
    "list_sessions",
    "log_in",
    "log_out",
    "log_out_everywhere",
    "refresh",
    "reset_password",
    "revoke",
    "revoke_access_tokens",
    "use_one_time_token",
    "verify_one_time_token",
    "verify_service_client",
]
