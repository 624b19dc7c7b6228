"""The OpenAPI description of all endpoints, for projects that use drf-spectacular.

A project has nothing to write: the app registers these extensions at its start if
``drf_spectacular`` is one of ``INSTALLED_APPS``. Nothing else imports this package, so
drf-spectacular stays optional, and the views don't know it.

``endpoints`` is the table of what each endpoint takes and answers, ``bodies`` its schemas,
``responses`` the answers in OpenAPI's words, and ``schema`` puts them together.
"""

from jwt_auth.openapi import authentication, bodies, views

__all__ = ["authentication", "bodies", "views"]
