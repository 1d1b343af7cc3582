"""The Celery application: `celery -A evncare worker`, `celery -A evncare beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evncare.settings")

app = Celery("evncare")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
