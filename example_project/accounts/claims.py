"""What the project adds to its access tokens; named by JWT_AUTH_CLAIMS."""

from collections.abc import Mapping

from example_project.accounts.models import User


def claims_of(user: User) -> Mapping[str, str]:
    """Name the user's tenant; no claim at all where there is none."""
    return {"tenant": user.tenant} if user.tenant else {}
