from django.apps import AppConfig, apps
from django.contrib.admin import autodiscover
from django.contrib.admin.apps import SimpleAdminConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class DeskAdminConfig(SimpleAdminConfig):
    """Django's admin with our site instead of its own."""

    default = False
    default_site = "evncare.desk.site.DeskSite"

    def ready(self) -> None:
        super().ready()
        autodiscover()


class DeskConfig(AppConfig):
    default = True
    name = "evncare.desk"
    verbose_name = _("Desk")

    def ready(self) -> None:
        from evncare.desk import signin  # noqa: F401  # listens for sign-ins
        from evncare.desk.looks import hear
        from evncare.desk.roles import create_roles
        from evncare.looks import looked

        # After the permissions of all apps are there, whichever was migrated.
        post_migrate.connect(create_roles, sender=apps.get_app_config("auth"), dispatch_uid="evncare.desk.create_roles")
        looked.connect(hear, dispatch_uid="evncare.desk.looks")
