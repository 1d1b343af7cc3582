"""The accounts of staff, which are switched off rather than deleted, and their roles."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django_otp.plugins.otp_static import admin as _registers_recovery_codes  # noqa: F401
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp import admin as _registers_devices  # noqa: F401
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from evncare.admin import tag
from evncare.desk import second_factor, signin
from evncare.desk.roles import ROLES

admin.site.unregister((User, Group))
admin.site.unregister((TOTPDevice, StaticDevice))  # their pages show secrets


def title(group: Group) -> str:
    """A role as staff call it."""
    return str(ROLES[group.name].title) if group.name in ROLES else group.name


@admin.register(User)
class KeptUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]  # the theme carries no types
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "roles", "state", "has_second_factor", "last_login")
    list_filter = ("groups", "is_active")
    search_help_text = _("User name, name or e-mail.")
    actions = ("lift_lock", "remove_second_factor")
    readonly_fields = ("last_login", "date_joined")
    filter_horizontal = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        rows: QuerySet[User] = super().get_queryset(request).prefetch_related("groups")
        return rows.annotate(
            is_locked=Q(username__in=signin.locked_names(timezone.now())),
            has_device=Exists(TOTPDevice.objects.filter(user=OuterRef("pk"), confirmed=True)),
        )

    @admin.display(description=_("full name"))
    def full_name(self, user: User) -> str:
        return user.get_full_name() or "–"

    @admin.display(description=_("roles"))
    def roles(self, user: User) -> str:
        return ", ".join(map(title, user.groups.all())) or "–"

    @admin.display(description=_("state"))
    def state(self, user: Any) -> SafeString:
        if not user.is_active:
            return tag("warn", _("switched off"))
        return tag("bad", _("locked after failed sign-ins")) if user.is_locked else tag("good", _("may sign in"))

    @admin.display(description=_("second factor"))
    def has_second_factor(self, user: Any) -> SafeString | str:
        return tag("good", _("set up")) if user.has_device else "–"

    @admin.action(description=_("Lift the lock after failed sign-ins"), permissions=["change"])
    def lift_lock(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For those who mistyped too often and can't wait."""
        by = User.objects.get(username=request.user.get_username())
        count = sum(signin.lift_lock(user, by=by) for user in queryset)
        told = ngettext("%(count)d account may try again.", "%(count)d accounts may try again.", count)
        self.message_user(request, told % {"count": count})

    @admin.action(description=_("Remove the second factor"), permissions=["change"])
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For those who lost phone and recovery codes. One's own takes a code, and a superuser's a superuser."""
        name = request.user.get_username()
        users = queryset.exclude(username=name)
        if not request.user.is_superuser:
            users = users.exclude(is_superuser=True)
        by = User.objects.get(username=name)
        count = sum(second_factor.take_off(user, by=by) for user in users)
        told = ngettext(
            "The second factor of %(count)d account is off.", "The second factor of %(count)d accounts is off.", count
        )
        self.message_user(request, told % {"count": count})

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """The few roles as boxes to tick."""
        if db_field.name != "groups":
            return super().formfield_for_manytomany(db_field, request, **kwargs)
        kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        field.label, field.help_text, field.label_from_instance = capfirst(_("roles")), "", title
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Rights come with roles. Only a superuser gives others."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        theirs = obj is None or not obj.is_superuser or request.user.is_superuser
        return theirs and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Group)
class KeptGroupAdmin(GroupAdmin, ModelAdmin):  # type: ignore[misc]  # the theme carries no types
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
