"""The claims that the project adds to its access tokens (JWT_AUTH_CLAIMS)."""

from collections.abc import Mapping

from example_project.accounts.models import User


def claims_of(user: User) -> Mapping[str, str]:
    """Return the user's tenant as a claim, or no claim for a user without a tenant."""
    return {"tenant": user.tenant} if user.tenant else {}
