"""The WSGI application, for `granian --interface wsgi evncare.wsgi:application` and its like."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evncare.settings")

application = get_wsgi_application()
