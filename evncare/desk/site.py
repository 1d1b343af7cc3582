"""The admin as a whole: its pages beyond the tables, and its search."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from evncare.desk import find, second_factor

# Of customers found in one way: below the search box, and on the page of the search.
FOUND_AT_ONCE, FOUND_ON_A_PAGE = 8, 30


class DeskSite(UnfoldAdminSite):  # type: ignore[misc]  # the theme carries no types
    index_title = _("Desk")

    def has_permission(self, request: HttpRequest) -> bool:
        """A session that a password alone has begun doesn't serve an account with a second factor."""
        return super().has_permission(request) and second_factor.is_satisfied(request.user)

    @method_decorator(never_cache)
    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As Django's, which is the one page of the admin that browsers might keep."""
        page: HttpResponse = super().password_change(request, extra_context)
        return page

    @method_decorator(never_cache)
    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """What ``s`` means: with ``extended`` only what stands below the search box, else a page."""
        if not find.may_search(request.user):
            raise PermissionDenied
        term = find.cleaned(request.GET.get("s", ""))
        at_once = "extended" in request.GET
        groups = find.find(term, request.user, FOUND_AT_ONCE if at_once else FOUND_ON_A_PAGE)
        count = sum(not hit.list for group in groups for hit in group.hits)
        told = ngettext("%(count)s found.", "%(count)s found.", count) % {"count": count}
        found = {"term": term, "groups": groups, "count": count, "told": told if count else gettext("Nothing found.")}
        if at_once:
            return TemplateResponse(request, "admin/desk/search_hits.html", found)
        context = self.each_context(request) | {"title": gettext("Search")} | found | (extra_context or {})
        return TemplateResponse(request, "admin/desk/search.html", context)

    def get_urls(self) -> list[URLPattern | URLResolver]:
        own = [path("second-factor/", self.admin_view(second_factor.page), name="second_factor")]
        return [*own, *super().get_urls()]
