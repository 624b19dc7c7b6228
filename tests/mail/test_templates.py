"""Templates of a project in the place of the package's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail
from pytest_django import Settings

from jwt_auth.mail import deliver

pytestmark = [pytest.mark.smoke, pytest.mark.usefixtures("links")]


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    """The project's templates of messages."""
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    folder = tmp_path / "jwt_auth" / "mail"
    folder.mkdir(parents=True)
    return folder


def test_template_of_a_project_replaces_one(folder: Path, user: AbstractBaseUser) -> None:
    """The others stay. A subject of two lines becomes one."""
    (folder / "password_reset_subject.txt").write_text("Our\n{{ site }} for {{ name }}\n")
    deliver("password_reset", address="alice@example.com", language="en")
    (sent,) = mail.outbox
    assert sent.subject == f"Our app.example.com for {user.get_username()}"
    assert "To set one, open this page" in str(sent.body)


def test_base_of_a_project_is_around_the_html_of_each_kind(
    folder: Path, user: AbstractBaseUser
) -> None:
    """With the project's logo, for example."""
    (folder / "base.html").write_text("<h1>Example</h1>{% block body %}{% endblock %}")
    deliver("password_reset", address="alice@example.com", language="en")
    deliver("email_confirmation", user_id=str(user.pk), language="en")
    for sent in mail.outbox:
        html = str(sent.alternatives[0][0])  # type: ignore[union-attr]  # always with HTML
        assert html.startswith("<h1>Example</h1>")
        assert "https://app.example.com/" in html


def test_empty_html_leaves_a_message_of_text(folder: Path, user: AbstractBaseUser) -> None:
    """For a project that sends no HTML."""
    (folder / "password_reset_body.html").write_text("{# no HTML #}\n")
    deliver("password_reset", address="alice@example.com", language="en")
    (sent,) = mail.outbox
    assert not sent.alternatives  # type: ignore[union-attr]  # of the class that can have some
