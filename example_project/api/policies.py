"""The policies of the API, each defined once and named in `permission_classes`."""

from jwt_auth.permissions import requires_claim, requires_role

# For administrators: the role is a Django group of that name.
AdminOnly = requires_role("admin")

# For users with a tenant, whichever it is: the view reads it from the token.
TenantScoped = requires_claim("tenant")
