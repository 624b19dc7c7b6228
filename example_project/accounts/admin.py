"""The user in Django's admin, with the tenant."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin

from example_project.accounts.models import User


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Django's page for users and one field more."""

    fieldsets = (*(DjangoUserAdmin.fieldsets or ()), ("Tenant", {"fields": ("tenant",)}))
    list_display = (*DjangoUserAdmin.list_display, "tenant")
    list_filter = (*DjangoUserAdmin.list_filter, "tenant")
