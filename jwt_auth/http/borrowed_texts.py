"""Texts of Django and REST framework that their own catalogs lack in some of our languages.

Our endpoints answer them, so our catalogs have them: without that, one answer would mix languages.
A catalog that has a text itself says the same in the same language, so the order of
``INSTALLED_APPS`` doesn't matter. Nothing imports this module at run time: it is the place where
``make messages`` finds these texts.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_noop, ngettext_lazy

#: REST framework 3.18 lacks them in Japanese, earlier versions in all five languages.
REST_FRAMEWORK: Final = (
    gettext_noop("Not a valid string."),
    gettext_noop("Must be a valid boolean."),
    gettext_noop("Expected available in {wait} second."),
    gettext_noop("Expected available in {wait} seconds."),
)

#: Django 5.2 lacks it in simplified Chinese.
DJANGO: Final = ngettext_lazy(
    "This password is too short. It must contain at least %d character.",
    "This password is too short. It must contain at least %d characters.",
)
