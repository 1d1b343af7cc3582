"""Try a message: what a customer would be answered, on a picture of their phone. Nothing is stored or sent."""

from django.http import HttpRequest, HttpResponse


def try_message(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
