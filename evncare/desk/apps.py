from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class DeskConfig(AppConfig):
    name = "evncare.desk"
    verbose_name = _("Desk")

    def ready(self) -> None:
        from evncare.desk.roles import create_roles

        # Django sends this signal only for apps with tables, and the desk has none.
        post_migrate.connect(create_roles, sender=apps.get_app_config("auth"), dispatch_uid="evncare.desk.create_roles")
