"""The admin as a whole: its name, and that accounts of staff are switched off rather than deleted."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

admin.site.site_header = _("EVNCPC customer care")
admin.site.site_title = _("EVNCPC customer care")
admin.site.index_title = _("Desk")
admin.site.unregister((User, Group))


@admin.register(User)
class KeptUserAdmin(UserAdmin):  # type: ignore[type-arg]  # generic only for the type checker
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Group)
class KeptGroupAdmin(GroupAdmin):
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
