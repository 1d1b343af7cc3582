"""What holds for every request: its language, when a session ends, what a browser may do for our pages."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils.translation import gettext

from evncare.desk.signin import SEEN_AT

Handler = Callable[[HttpRequest], HttpResponse]

# How exactly it is known when somebody was last seen: each time costs a write.
PRECISION_SECONDS = 60
POWERS_NOT_NEEDED = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


class ChosenLanguageMiddleware(LocaleMiddleware):
    """Vietnamese unless somebody chose otherwise: how a shared computer's browser is set up says nothing of them."""

    def process_request(self, request: HttpRequest) -> None:
        request.META.pop("HTTP_ACCEPT_LANGUAGE", None)
        super().process_request(request)


class IdleSessionMiddleware:
    """Ends a session whose owner asked for nothing for SESSION_MINUTES.

    What a page asks for by itself, on a timer, says so by the header ``X-Background`` and prolongs nothing.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or SESSION_KEY not in request.session:
            return self.get_response(request)
        now = int(time.time())
        idle = now - request.session.get(SEEN_AT, 0)
        by_itself = "X-Background" in request.headers
        if idle > settings.SESSION_MINUTES * 60:
            if by_itself or request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
                return HttpResponse(status=403)  # a script asked: the page that it loads next tells the person
            logout(request)
            minutes = settings.SESSION_MINUTES
            told = gettext(
                "Your session ended after %(minutes)s minutes without work. Sign in to go on where you were."
            )
            messages.warning(request, told % {"minutes": minutes})
        elif idle > PRECISION_SECONDS and not by_itself:
            request.session[SEEN_AT] = now
        return self.get_response(request)


class PermissionsPolicyMiddleware:
    """Our pages need nothing of what a browser can do beyond showing them."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response["Permissions-Policy"] = POWERS_NOT_NEEDED
        return response
