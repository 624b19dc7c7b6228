"""What Django's error reports show of a request that carries passwords or tokens: nothing of them.

An error in a project's receiver or callable is mailed to ``ADMINS`` with the form's fields, and as
HTML with the cookies and the local variables of every frame too.
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
    """Mark all that a view is given, and all that is made of it, as sensitive.

    Django's decorators alone don't suffice: the nearest ``sensitive_variables`` counts, which in
    ``authenticate()`` doesn't name the password that a backend gets; middlewares and the renderer
    have frames outside of the view; and of a JSON body and a cookie Django knows nothing.
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
    """Extend the filter that the project has, by which it decides when to hide anything."""

    class Hiding(former):  # type: ignore[misc]  # whichever it is
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
