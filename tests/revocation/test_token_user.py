"""The user of a token in a service that has neither the issuer's users nor its sessions."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.context_processors import PermWrapper
from django.contrib.auth.models import AnonymousUser, Group
from django.template import Context, Template
from pytest_django import DjangoAssertNumQueries, Settings
from rest_framework import permissions
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView

from jwt_auth import flows
from jwt_auth.conf import conf
from jwt_auth.exceptions import AccessTokenRefused, Refusal
from jwt_auth.revocation.base import get_backend
from jwt_auth.revocation.database import DatabaseRevocation
from jwt_auth.revocation.stateless import NoRevocation
from jwt_auth.revocation.token_user import TokenUser, user_of
from jwt_auth.tokens.claims import AccessToken, read_claims
from tests.flows.scene import log_in, refusal_of
from tests.revocation import mapping
from tests.tokens.forging import SESSION

JWKS_URL = "https://auth.example.com/.well-known/jwks.json"


def token_of(subject: str = "42", /, **claims: Any) -> AccessToken:
    """A token of another service's user, as it is after it has been verified."""
    good = {
        "iss": "https://auth.example.com",
        "aud": "example-api",
        "sub": subject,
        "iat": 0,
        "nbf": 0,
        "exp": 900,
        "jti": "the-jti",
        "sid": SESSION,
        "token_version": 0,
        "token_use": "access",
        "roles": ["editor"],
    }
    return read_claims(json.dumps(good | claims).encode(), kid="a-key")


def request_of(user: object) -> Request:
    """A request that was authenticated."""
    request = Request(APIRequestFactory().get("/"))
    request.user = user  # type: ignore[assignment]  # the stubs know users of the database only
    return request


# ---- The user from the claims


def test_user_is_an_active_one_with_the_key_and_roles_of_the_token() -> None:
    """The key is the text that the issuer signed, whatever the type of its keys."""
    user = TokenUser(token_of("42"))
    assert (user.pk, user.id, user.roles) == ("42", "42", ("editor",))
    assert (user.is_authenticated, user.is_anonymous, user.is_active) == (True, False, True)
    assert (user.get_username(), str(user)) == ("42", "42")


def test_own_claims_are_attributes() -> None:
    """Those that the issuer's JWT_AUTH_CLAIMS has added, of any type that JSON has."""
    user = TokenUser(token_of(tenant="acme", limits={"rows": 5}, nothing=None, username="alice"))
    assert (user.tenant, user.limits, user.nothing) == ("acme", {"rows": 5}, None)
    assert (user.username, user.get_username(), str(user)) == ("alice", "alice", "alice")


@pytest.mark.parametrize("name", ["email", "tenant", "save", "exp", "sid", "iss", "_state"])
def test_unknown_attribute_is_an_error(name: str) -> None:
    """So is a claim that the package sets: it is in the token, ``request.auth``."""
    user = TokenUser(token_of(_state="claimed"))
    assert not hasattr(user, name)
    with pytest.raises(AttributeError, match=f"no claim '{name}'"):
        getattr(user, name)


def test_no_claim_replaces_an_attribute() -> None:
    """A project that adds such a claim gives nobody rights in another service."""
    names = ("is_staff", "is_superuser", "is_authenticated", "has_perm", "pk", "id", "_token")
    claims: dict[str, Any] = dict.fromkeys(names, True)
    user = TokenUser(token_of(**claims, is_active=False, is_anonymous=True))
    assert (user.is_staff, user.is_superuser, user.is_active) == (False, False, True)
    assert (user.is_authenticated, user.is_anonymous) == (True, False)
    assert (user.pk, user.id) == ("42", "42")
    assert not user.has_perm("app.view_thing")


def test_username_that_is_not_a_text_is_not_the_name() -> None:
    """The caller of ``get_username()`` expects a string."""
    assert TokenUser(token_of(username=7)).get_username() == "42"


def test_users_are_equal_by_issuer_and_key() -> None:
    """Whatever else their tokens say; another issuer's user with the key is someone else."""
    user = TokenUser(token_of("42"))
    assert user == TokenUser(token_of("42", jti="another", roles=[]))
    assert user != TokenUser(token_of("43"))
    assert user != TokenUser(token_of("42", iss="https://other.example.com"))
    assert user != "42"
    assert len({user, TokenUser(token_of("42", jti="another")), TokenUser(token_of("43"))}) == 2


@pytest.mark.parametrize(
    "remake", [copy.copy, copy.deepcopy, lambda user: pickle.loads(pickle.dumps(user))]
)
def test_copy_is_the_same_user(remake: Any) -> None:
    """Python asks a copy for its methods before it has a token."""
    user = TokenUser(token_of(tenant="acme"))
    assert user.tenant == "acme"
    remade = remake(user)
    assert (remade, remade.tenant, remade.roles) == (user, "acme", ("editor",))


def test_claims_are_not_shown() -> None:
    """Logs and error pages show an object by its repr."""
    assert repr(TokenUser(token_of(tenant="acme"))) == "<TokenUser 42>"


def test_views_do_not_share_claims() -> None:
    """Two requests may bring the same token."""
    token = token_of(tags=["a"])
    TokenUser(token).tags.append("b")
    assert TokenUser(token).tags == ["a"]


# ---- What Django and REST framework do with it


@pytest.mark.parametrize(
    ("permission", "passes"),
    [
        (permissions.IsAuthenticated, True),
        (permissions.IsAuthenticatedOrReadOnly, True),
        (permissions.IsAdminUser, False),
        (permissions.DjangoModelPermissions, False),
        (permissions.DjangoModelPermissionsOrAnonReadOnly, False),
    ],
)
def test_permissions_of_rest_framework_decide(permission: Any, passes: bool) -> None:
    """Without an error: those that need rights in the database refuse."""
    request = request_of(TokenUser(token_of(is_staff=True)))
    request.method = "POST"
    view = APIView()
    view.queryset = Group.objects.all()  # type: ignore[attr-defined]  # as in a generic view
    assert permission().has_permission(request, view) is passes


def test_throttle_of_rest_framework_counts_by_the_key() -> None:
    """Each user separately."""
    throttle = UserRateThrottle.__new__(UserRateThrottle)
    keys = [throttle.get_cache_key(request_of(TokenUser(token_of(pk))), APIView()) for pk in "12"]
    assert [str(key).rpartition("_")[2] for key in keys] == ["1", "2"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in dir(AnonymousUser)
        if "_perm" in name and name.lstrip("a").startswith(("has_", "get_"))
    ],
)
def test_user_has_no_permission_of_django(name: str) -> None:
    """Whichever of Django's questions a view or a decorator asks, async ones too."""
    arguments = ["auth.view_group"] if "has_" in name else []
    question = getattr(TokenUser(token_of()), name)
    asked = async_to_sync(question) if inspect.iscoroutinefunction(question) else question
    assert asked(*arguments) in (False, set())


def test_templates_show_it() -> None:
    """An unknown attribute is empty there, and all permissions are missing."""
    user = TokenUser(token_of(tenant="acme"))
    template = Template(
        "{{ user }} {{ user.tenant }} {{ user.email }} {{ user.is_staff }} {{ perms.auth }}"
        " {% if perms.auth.view_group or 'auth' in perms %}yes{% else %}no{% endif %}"
    )
    text = template.render(Context({"user": user, "perms": PermWrapper(user)}))
    assert text == "42 acme  False set() no"


# ---- Where it is used


def test_service_that_only_verifies_has_users_of_claims(
    settings: Settings, django_assert_num_queries: DjangoAssertNumQueries, db: None
) -> None:
    """Without a line about revocation, and without SQL."""
    settings.JWT_AUTH_JWKS_URL = JWKS_URL
    del settings.JWT_AUTH_REVOCATION
    assert isinstance(get_backend(), NoRevocation)
    with django_assert_num_queries(0):
        assert get_backend().get_user(token_of("nobody here")).pk == "nobody here"


def test_service_that_shares_the_database_can_say_so(settings: Settings) -> None:
    """The setting counts, even if it names the default."""
    settings.JWT_AUTH_JWKS_URL = JWKS_URL
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "jwt_auth.revocation.database.DatabaseRevocation"}
    assert isinstance(get_backend(), DatabaseRevocation)


# ---- Local users


@pytest.fixture
def _mapped(settings: Settings) -> None:
    """Find local users by the claim ``username``."""
    settings.JWT_AUTH_LOCAL_USER = "tests.revocation.mapping.local_user"
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "tests.revocation.mapping.MappedUsers"}


@pytest.mark.user_model
@pytest.mark.usefixtures("_mapped")
def test_local_user_is_the_one_that_the_project_finds(user: Any) -> None:
    """Its key here and the key at the issuer have nothing to do with each other."""
    token = token_of("another key", username=user.get_username())
    assert user_of(token) == user
    assert isinstance(user_of(token), get_user_model())


@pytest.mark.usefixtures("_mapped")
def test_token_without_a_local_user_is_refused(user: Any) -> None:
    """The answer is that of any refused token."""
    with pytest.raises(AccessTokenRefused) as refused:
        user_of(token_of(username="stranger"))
    assert refused.value.reason is Refusal.USER_UNKNOWN


@pytest.mark.usefixtures("_mapped")
def test_inactive_local_user_is_refused(user: Any) -> None:
    """A service can lock a user out by itself."""
    user.is_active = False
    user.save()
    with pytest.raises(AccessTokenRefused) as refused:
        user_of(token_of(username=user.get_username()))
    assert refused.value.reason is Refusal.USER_INACTIVE


@pytest.mark.usefixtures("_mapped")
def test_local_user_may_have_another_key(user: AbstractBaseUser, make_user: Any) -> None:
    """Every other backend's user must have the key of the token, in the issuer's spelling."""
    local = make_user("local")
    issued = log_in(user)
    with mapping.everyone_is(local):
        found, _ = flows.authenticate(
            issued.access_token.text, client=mapping.CLIENT, now=mapping.now()
        )
        assert found == local
        assert mapping.MappedUsers().maps_users


def test_user_of_another_backend_must_have_the_key_of_the_token(
    user: AbstractBaseUser, make_user: Any, settings: Settings
) -> None:
    """A backend that brings another user by mistake lets nobody in."""
    settings.JWT_AUTH_REVOCATION = {"BACKEND": "tests.revocation.mapping.WrongUsers"}
    issued, local = log_in(user), make_user("local")
    assert not conf.local_user
    with mapping.everyone_is(local):
        assert refusal_of(issued) is Refusal.USER_UNKNOWN
