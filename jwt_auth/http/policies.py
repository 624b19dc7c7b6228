"""A policy looks at the access token of a request. A 403 says which policy has refused.

REST framework composes permissions with ``&``, ``|`` and ``~``, but its compositions answer every
refusal alike. Those of this module give the answer

- of the first operand that has refused (``&``);
- of the first operand that has an answer, because each of them would have been enough (``|``);
- that the operand keeps for a token that fulfils it (``~``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from inspect import iscoroutine
from typing import Any, NamedTuple, TypeAlias

from rest_framework.permissions import (
    AND,
    OR,
    BasePermission,
    BasePermissionMetaclass,
    OperandHolder,
    SingleOperandHolder,
)
from rest_framework.request import Request
from rest_framework.views import APIView

from jwt_auth.tokens.claims import AccessToken

# Of this package or another one.
_Class: TypeAlias = Any  # a permission class, or a composition of several
_Permission: TypeAlias = Any  # an instance


class Answer(NamedTuple):
    """What a 403 says. An empty one is false, and means REST framework's own answer."""

    code: str | None = None
    #: A text or a lazy translation.
    message: Any = None

    def __bool__(self) -> bool:
        return any(self)


class _Composable:
    """The operators of policies and their compositions.

    Python asks the class on the right first if it is derived from the other. So these operators
    also compose one of REST framework's permissions with a policy on its right.
    """

    def __and__(self, other: _Class) -> _Class:
        return _compose(_And, self, other)

    def __rand__(self, other: _Class) -> _Class:
        return _compose(_And, other, self)

    def __or__(self, other: _Class) -> _Class:
        return _compose(_Or, self, other)

    def __ror__(self, other: _Class) -> _Class:
        return _compose(_Or, other, self)

    def __invert__(self) -> _Class:
        return _negate(self)


class _Composition(_Composable, OperandHolder):
    pass


class _Negation(_Composable, SingleOperandHolder):
    pass


def _compose(operator: Any, *operands: _Class) -> _Class:
    return _Composition(operator, *operands)


def _negate(operand: _Class) -> _Class:
    operator: Any = Not
    return _Negation(operator, operand)


class _PolicyMetaclass(_Composable, BasePermissionMetaclass):
    pass


class _Answering:
    """Has an answer. REST framework reads ``code`` and ``message`` after it was refused."""

    #: The answer to a request that this refuses.
    refusal: Answer = Answer()
    #: The answer to a request that this accepts, if its negation refuses the request for that.
    exclusion: Answer = Answer()

    @property
    def code(self) -> str | None:
        return self.refusal.code

    @property
    def message(self) -> Any:
        return self.refusal.message


class Policy(_Answering, BasePermission, metaclass=_PolicyMetaclass):
    """A permission that depends on the access token, and needs no query."""

    @abstractmethod
    def accepts(self, token: AccessToken, request: Request) -> bool:
        """Whether the token fulfils the policy."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        token: object = request.auth
        return isinstance(token, AccessToken) and self.accepts(token, request)


class _And(_Answering, AND):
    op1: _Permission
    op2: _Permission

    def has_permission(self, request: Request, view: APIView) -> bool:
        return self._decide(lambda operand: operand.has_permission(request, view))

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        return self._decide(lambda operand: operand.has_object_permission(request, view, obj))

    def _decide(self, accepts: Callable[[_Permission], bool]) -> bool:
        for operand in (self.op1, self.op2):
            if not _verdict(accepts(operand)):
                self.refusal = _refusal_of(operand)
                return False
        self.exclusion = _exclusion_of(self.op1) or _exclusion_of(self.op2)
        return True


class _Or(_Answering, OR):
    op1: _Permission
    op2: _Permission

    def has_permission(self, request: Request, view: APIView) -> bool:
        return self._decide(lambda operand: operand.has_permission(request, view))

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        return self._decide(lambda operand: _accepts_object(operand, request, view, obj))

    def _decide(self, accepts: Callable[[_Permission], bool]) -> bool:
        for operand in (self.op1, self.op2):
            if _verdict(accepts(operand)):
                self.exclusion = _exclusion_of(operand)
                return True
        self.refusal = _refusal_of(self.op1) or _refusal_of(self.op2)
        return False


class Not(_Answering):
    """Not derived from REST framework's: adrf replaces each of those by its own, which accepts a
    request without an access token.
    """

    def __init__(self, op1: _Permission) -> None:
        self.op1 = op1

    def has_permission(self, request: Request, view: APIView) -> bool:
        return self._decide(request, accepted=_verdict(self.op1.has_permission(request, view)))

    def has_object_permission(self, request: Request, view: APIView, obj: Any) -> bool:
        return self._decide(request, accepted=_accepts_object(self.op1, request, view, obj))

    def _decide(self, request: Request, *, accepted: bool) -> bool:
        self.refusal, self.exclusion = _exclusion_of(self.op1), _refusal_of(self.op1)
        # Another class's authentication says nothing about roles and claims, not even that the user
        # doesn't have them.
        return isinstance(request.auth, AccessToken) and not accepted


def _accepts_object(operand: _Permission, request: Request, view: APIView, obj: Any) -> bool:
    # Both, because most permissions that look at the request only accept every object.
    return _verdict(operand.has_permission(request, view)) and _verdict(
        operand.has_object_permission(request, view, obj)
    )


def _verdict(answer: object) -> bool:
    """Return what a permission has answered.

    Raises:
        TypeError: the permission is an async one. Its coroutine would count as an acceptance.
    """
    if iscoroutine(answer):
        answer.close()
        raise TypeError(
            "An async permission can't be composed with a policy here. List both in "
            "permission_classes, in a view of adrf's."
        )
    return bool(answer)


def _refusal_of(operand: _Permission) -> Answer:
    return Answer(getattr(operand, "code", None), getattr(operand, "message", None))


def _exclusion_of(operand: _Permission) -> Answer:
    answer: Answer = getattr(operand, "exclusion", Answer())
    return answer
