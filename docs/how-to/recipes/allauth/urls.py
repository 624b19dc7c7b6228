"""The paths of a site whose users log in through the pages of django-allauth."""

from django.http import HttpResponseNotFound
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt


@csrf_exempt
def closed(request):
    return HttpResponseNotFound()


urlpatterns = [
    path("accounts/", include("allauth.urls")),
    re_path(r"^api/auth/login/?$", closed),  # it asks for the password only
    path("api/auth/", include("jwt_auth.urls")),
]
