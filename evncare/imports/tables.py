"""What undo needs to know of the tables that are loaded: who wrote a row last, and what it was before."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Imported(models.Model):
    """A row that loads write.

    ``run`` is the number of the run that wrote it last: negative once something else has changed the row since, which
    can't be taken back for it left no before-image; null if no run ever wrote it.
    """

    run = models.IntegerField(_("import run"), null=True, editable=False)

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.run is not None and not self._state.adding:
            self.run = -abs(self.run)
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "run"}
        super().save(*args, **kwargs)


class BeforeImage(models.Model):
    """What a row was before a run changed or settled it. A row that the run inserted has none."""

    table = models.CharField(max_length=63)
    run = models.IntegerField()
    key = models.CharField(max_length=100)  # the row's primary key, as text
    earlier_run = models.IntegerField(null=True)  # what stood in the row's own `run`
    row = models.JSONField()  # by column; only those that the run may have changed

    class Meta:
        verbose_name = _("before-image")
        verbose_name_plural = _("before-images")
        indexes = (
            # undo: the images of one run, and those of later runs on the same table.
            models.Index(fields=("table", "run"), name="before_images_of_a_run"),
        )

    def __str__(self) -> str:
        return f"{self.table} {self.key} before run {self.run}"
