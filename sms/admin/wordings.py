"""The words of the replies, for supervisors to edit."""

from django.contrib import admin

from evncare.admin import RecordAdmin
from sms.models import WordingVersion


@admin.register(WordingVersion)
class WordingVersionAdmin(RecordAdmin):
    list_display = ("key", "by", "at")
