"""Model fields that several apps share."""

from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class CodeField(models.CharField):  # type: ignore[type-arg]  # generic only for the type checker
    """An identifier of another system: text compared byte by byte.

    On PostgreSQL it takes the "C" collation, because language-aware comparison makes sorting, merging and
    prefix search of codes several times slower and never means anything for them.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
