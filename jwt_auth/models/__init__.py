"""The data that decides about every request: sessions, token versions, denials, service clients."""

from jwt_auth.models.databases import write_database
from jwt_auth.models.denials import JTI_LENGTH, RecordedDenial, RevokedToken
from jwt_auth.models.key_rings import StoredKeyRing
from jwt_auth.models.one_time_tokens import (
    ONE_TIME_JTI_LENGTH,
    ConfirmedAddress,
    UsedOneTimeToken,
)
from jwt_auth.models.service_clients import SERVICE_NAME_LENGTH, ServiceClient
from jwt_auth.models.sessions import (
    USER_AGENT_LENGTH,
    Client,
    Reason,
    RefreshTokenFamily,
    RefreshTokenFamilyQuerySet,
)
from jwt_auth.models.users import (
    TokenVersion,
    TokenVersionField,
    TokenVersionMixin,
    groups_of,
    has_groups,
    has_version_field,
    token_version_of,
)

__all__ = [
    "JTI_LENGTH",
    "ONE_TIME_JTI_LENGTH",
    "SERVICE_NAME_LENGTH",
    "USER_AGENT_LENGTH",
    "Client",
    "ConfirmedAddress",
    "Reason",
    "RecordedDenial",
    "RefreshTokenFamily",
    "RefreshTokenFamilyQuerySet",
    "RevokedToken",
    "ServiceClient",
    "StoredKeyRing",
    "TokenVersion",
    "TokenVersionField",
    "TokenVersionMixin",
    "UsedOneTimeToken",
    "groups_of",
    "has_groups",
    "has_version_field",
    "token_version_of",
    "write_database",
]
