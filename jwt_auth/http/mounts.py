"""Find the paths at which a project has mounted views of this package, under whatever namespace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.urls import NoReverseMatch, URLResolver, get_resolver, get_urlconf, reverse


def find_path(is_wanted: Callable[[Any], bool]) -> str | None:
    """Find the first path with a view that is wanted; ``None`` if it isn't mounted.

    A path with a parameter is not found, because no value is known for it.
    """
    for name, view in _named_views(get_resolver(get_urlconf()).url_patterns):
        if is_wanted(view):
            try:
                return reverse(name)
            except NoReverseMatch:
                continue
    return None


def _named_views(patterns: Iterable[Any], namespaces: tuple[str, ...] = ()) -> Iterator[Any]:
    """What ``reverse()`` takes for each view, and the view, in the order of the URLconf."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
            yield from _named_views(pattern.url_patterns, inner)
        elif not namespaces:
            # By the view itself, because the project may have given another one the same name.
            yield pattern.callback, pattern.callback
        elif pattern.name:
            yield ":".join((*namespaces, pattern.name)), pattern.callback
