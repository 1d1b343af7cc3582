"""django-import-export's view of our declarations, for its export pages and actions: what it writes, our engine reads.

Imports don't go through it: see `runs`.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from import_export.declarative import ModelDeclarativeMetaclass
from import_export.fields import Field
from import_export.formats.base_formats import CSV, XLSX
from import_export.resources import ModelResource
from import_export.widgets import Widget

from evncare.imports.columns import Column, Integer, Money, Number
from evncare.imports.declarations import Export


class ColumnWidget(Widget):  # type: ignore[misc]
    """Reads and writes cells as the column does."""

    def __init__(self, column: Column) -> None:
        super().__init__()
        self.column = column

    def clean(self, value: Any, row: Any = None, **kwargs: Any) -> Any:
        return self.column.read("" if value is None else str(value))

    def render(self, value: Any, obj: Any = None, **kwargs: Any) -> Any:
        numeric = isinstance(self.column, Integer | Money | Number)
        if kwargs.get("force_native_type") and numeric and value is not None:
            return value
        return self.column.write(value)


LINES_OF_A_PART = 2000
EXPORT_FORMATS = [CSV, XLSX]
MOST_ROWS_OF_A_WORKBOOK = 100_000


def lines(export: Export, columns: Sequence[Column], rows: QuerySet[Any]) -> Iterator[bytes]:
    """The rows as a CSV file, a bounded part at a time; spreadsheets know its encoding by its mark."""
    part = StringIO()
    writer = csv.writer(part)
    writer.writerow([column.name for column in columns])
    yield codecs.BOM_UTF8
    for number, values in enumerate(
        rows.values_list(*(export.model_field(column.field).attname for column in columns)).iterator(LINES_OF_A_PART), 1
    ):
        writer.writerow([column.write(value) for column, value in zip(columns, values, strict=True)])
        if number % LINES_OF_A_PART == 0:
            yield part.getvalue().encode()
            part.seek(0)
            part.truncate()
    yield part.getvalue().encode()


def resource_for(export: Export, columns: Sequence[Column]) -> type[ModelResource]:
    """The resource of an export, with these of its columns in their order."""

    class Meta:
        model = export.model
        name = _("Columns as in the billing system")
        fields = tuple(column.field for column in columns)
        export_order = fields

    fields = {
        column.field: Field(
            attribute=export.model_field(column.field).attname, column_name=column.name, widget=ColumnWidget(column)
        )
        for column in columns
    }
    name = f"{export.model.__name__}Resource"
    resource: type[ModelResource] = ModelDeclarativeMetaclass(
        name, (ModelResource,), {**fields, "Meta": Meta, "__module__": __name__}
    )
    return resource
