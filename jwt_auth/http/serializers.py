"""The request and response bodies of the endpoints."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from django.contrib.auth import forms, get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator, validate_email
from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.utils.html import is_html_input

from jwt_auth.devices import device_name
from jwt_auth.models import RefreshTokenFamily

_WORDS: Final = {"true": True, "false": False}


class TextField(serializers.CharField):
    """A JSON string, taken literally.

    It isn't trimmed. Numbers and booleans are refused instead of being converted, and so is a
    string that UTF-8 can't encode.
    """

    def __init__(self, **named: Any) -> None:
        super().__init__(trim_whitespace=False, **named)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            data.encode()
        except UnicodeEncodeError:
            self.fail("invalid")  # a lone surrogate, which JSON can spell and UTF-8 can't
        return str(super().to_internal_value(data))


class UsernameField(TextField):
    """A user name, normalized as in Django's login form (NFKC)."""

    def to_internal_value(self, data: object) -> str:
        form_field = forms.UsernameField(max_length=self.max_length, required=False)
        return str(form_field.to_python(super().to_internal_value(data)))


class EmailField(TextField):
    """An email address, as Django's form for a password reset takes it: without blanks around it.

    What is wrong with an address depends on its text alone, never on which users exist.
    """

    default_error_messages = {"invalid_address": EmailValidator.message}

    def to_internal_value(self, data: object) -> str:
        address = super().to_internal_value(data).strip()
        try:
            validate_email(address)
        except ValidationError:
            self.fail("invalid_address")
        return address


class StrictBooleanField(serializers.BooleanField):
    """``true`` or ``false`` in JSON, and these two words in a form.

    REST framework also accepts ``1``, ``"yes"`` and others. An option that prolongs a session must
    not be turned on by a value that means something else.
    """

    def to_internal_value(self, data: object) -> bool:
        if isinstance(data, bool):
            return data
        is_form = is_html_input(getattr(self.root, "initial_data", None))
        if is_form and data in _WORDS:
            return _WORDS[data]
        self.fail("invalid", input=data)


class LoginSerializer(serializers.Serializer[Any]):
    username = UsernameField(max_length=1024)
    password = TextField(max_length=4096)
    # Without a default: some generators of clients require a field whose schema has one.
    remember_me = StrictBooleanField(required=False)

    def to_internal_value(self, data: Any) -> Any:
        """Tell a client without ``username`` where the user's name, sent as another, belongs."""
        name = get_user_model().USERNAME_FIELD
        if {name, "email"} & data.keys():
            required = _('Send the user\'s {name} as "username".')
            self.fields["username"].error_messages["required"] = required.format(name=name)
        return super().to_internal_value(data)


class RefreshTokenSerializer(serializers.Serializer[Any]):
    refresh_token = TextField(required=False, allow_blank=True, max_length=1024)


class PasswordChangeSerializer(serializers.Serializer[Any]):
    old_password = TextField(max_length=4096)
    new_password = TextField(max_length=4096)


class PasswordResetSerializer(serializers.Serializer[Any]):
    email = EmailField(max_length=320)


class PasswordResetConfirmSerializer(serializers.Serializer[Any]):
    token = TextField()
    new_password = TextField(max_length=4096)


class EmailConfirmSerializer(serializers.Serializer[Any]):
    token = TextField()


class UTCDateTimeField(serializers.DateTimeField):
    """A time in UTC, marked with ``Z``, whatever time zone and format the project has set."""

    def to_representation(self, value: datetime) -> str:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


class SessionSerializer(serializers.ModelSerializer[RefreshTokenFamily]):
    created_at = UTCDateTimeField(read_only=True)
    last_used_at = UTCDateTimeField(read_only=True)
    expires_at = UTCDateTimeField(read_only=True)
    device = serializers.SerializerMethodField()
    current = serializers.SerializerMethodField()

    class Meta:
        model = RefreshTokenFamily
        fields = (
            "id",
            "created_at",
            "last_used_at",
            "expires_at",
            "ip_address",
            "user_agent",
            "device",
            "current",
        )
        read_only_fields = fields

    def get_device(self, session: RefreshTokenFamily) -> str:
        return device_name(session.user_agent)

    def get_current(self, session: RefreshTokenFamily) -> bool:
        return bool(session.pk == self.context["current"])
