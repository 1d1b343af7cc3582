"""Accounts of staff, which are switched off rather than deleted."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from evncare.admin import RecordAdmin
from evncare.desk.models import AccessRecord

admin.site.unregister((User, Group))


@admin.register(User)
class KeptUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]  # the theme carries no types
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Group)
class KeptGroupAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]  # the theme carries no types
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AccessRecord)
class AccessRecordAdmin(RecordAdmin):
    list_display = ("at", "user", "kind", "subject")
