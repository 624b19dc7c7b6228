"""Keep passwords and tokens out of Django's error reports.

If a project's receiver or callable raises an error, Django mails a report to ``ADMINS``. It shows
the form's fields and, as HTML, also the cookies and the local variables of every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from types import FrameType
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.views.debug import get_exception_reporter_filter
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

View = Callable[..., HttpResponseBase]


def hide_secrets(view: View) -> View:
    """Mark everything that a view receives, and everything made from it, as sensitive.

    Django's decorators alone don't suffice. Only the nearest ``sensitive_variables`` applies to a
    frame, and the one of ``authenticate()`` doesn't name the password that a backend receives. The
    frames of middleware and of the renderer are outside of the view. And Django doesn't treat JSON
    bodies and cookies as sensitive.
    """

    @sensitive_post_parameters()
    @sensitive_variables()
    @wraps(view)
    def hidden(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        former: Any = type(get_exception_reporter_filter(request))
        request.exception_reporter_filter = _hiding(former)()
        return view(request, *args, **kwargs)

    return hidden


@lru_cache(maxsize=8)
def _hiding(former: Any) -> Any:
    """Extend the project's own filter, which still decides when anything is hidden."""

    class Hiding(former):  # type: ignore[misc]  # a class known at run time only
        def get_safe_cookies(self, request: HttpRequest) -> dict[str, Any]:
            return dict.fromkeys(request.COOKIES, self.cleansed_substitute)

        def get_traceback_frame_variables(
            self, request: HttpRequest, tb_frame: FrameType
        ) -> Iterable[tuple[str, Any]]:
            variables: Iterable[tuple[str, Any]] = super().get_traceback_frame_variables(
                request, tb_frame
            )
            if not self.is_active(request):
                return variables
            return [(name, self.cleansed_substitute) for name, _ in variables]

    return Hiding
