"""The admin as a whole: its pages beyond the tables, and its search."""

from django.utils.translation import gettext_lazy as _
from unfold.sites import UnfoldAdminSite


class DeskSite(UnfoldAdminSite):
    index_title = _("Desk")
