"""The user in Django's admin, with the tenant."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from example_project.accounts.models import User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]  # not at run time
    """Django's page for users, with the tenant as an additional field."""

    fieldsets = (*(DjangoUserAdmin.fieldsets or ()), ("Tenant", {"fields": ("tenant",)}))
    list_display = ("username", "email", "tenant", "is_active", "is_staff")
    list_filter = ("is_active", "is_staff", "groups", "tenant")
