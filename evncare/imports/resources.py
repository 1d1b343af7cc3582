"""django-import-export's view of our declarations: its pages and buttons in front, our engine behind.

So an import through the admin takes the same files, reads them by the same columns and leaves the same rows as one from
the command line.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import tablib
from django.core.exceptions import ValidationError
from django.utils.html import conditional_escape, format_html
from django.utils.translation import gettext_lazy as _
from import_export.declarative import ModelDeclarativeMetaclass
from import_export.fields import Field
from import_export.formats.base_formats import CSV, XLSX, Format
from import_export.resources import ModelResource
from import_export.results import Error, Result, RowResult
from import_export.widgets import Widget

from evncare.imports import engine
from evncare.imports.columns import Column, Integer, Money, Number
from evncare.imports.declarations import Export
from evncare.imports.errors import FileRefused

PREVIEWED_ROWS = 100


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


class Refusal(Error):  # type: ignore[misc]
    """A file that isn't taken. The page shows the message; the traceback is nobody's business there."""

    traceback = ""


class UploadedFile:
    """An uploaded export, on disk for as long as this object lives."""

    def __init__(self, content: bytes) -> None:
        self._file = NamedTemporaryFile(prefix="evncare-import-")  # noqa: SIM115 - it goes with this object
        self._file.write(content)
        self._file.flush()
        self.path = Path(self._file.name)
        weakref.finalize(self, self._file.close)


class ExportedFile(Format):  # type: ignore[misc]
    """Every kind of file that the engine recognises by itself."""

    def __init__(self, encoding: str | None = None) -> None:
        self.encoding = encoding

    def get_title(self) -> str:
        return "CSV / CSV.GZ / XLSX"

    def create_dataset(self, in_stream: bytes) -> UploadedFile:
        return UploadedFile(in_stream)

    def can_import(self) -> bool:
        return True


IMPORT_FORMATS = [ExportedFile]
EXPORT_FORMATS = [CSV, XLSX]


class ExportResource(ModelResource):  # type: ignore[misc]
    """A resource whose imports are loads by our engine; `resource_for` makes one from a declaration."""

    declaration: Export

    def import_data(self, dataset: Any, dry_run: bool = False, raise_errors: bool = False, **kwargs: Any) -> Result:
        """Load an `UploadedFile`, or a tablib data set; the result shows the first changes and the first rejects."""
        result = Result()
        result.diff_headers = [column.name for column in self.declaration.columns]
        try:
            with _on_disk(dataset) as path:
                outcome = engine.load(self.declaration, path, dry_run=dry_run, sample=PREVIEWED_ROWS)
        except FileRefused as error:
            if raise_errors:
                raise
            result.append_base_error(Refusal(error))
            return result
        result.outcome = outcome
        result.total_rows = outcome.rows
        result.totals |= {
            RowResult.IMPORT_TYPE_NEW: outcome.new,
            RowResult.IMPORT_TYPE_UPDATE: outcome.changed,
            RowResult.IMPORT_TYPE_SKIP: outcome.unchanged,
            RowResult.IMPORT_TYPE_INVALID: outcome.rejected,
        }
        for change in outcome.changes:
            result.append_row_result(self._row_result(change))
        for reject, cells in outcome.rejects:
            reasons = {reject.column: [reject.reason]} if reject.column else [reject.reason]
            result.append_invalid_row(reject.line, cells, ValidationError(reasons))
        return result

    def _row_result(self, change: engine.Change) -> RowResult:
        row = RowResult()
        row.import_type = RowResult.IMPORT_TYPE_UPDATE if change.before else RowResult.IMPORT_TYPE_NEW
        row.row_values = change.cells
        row.diff = []
        for column in self.declaration.columns:
            after = column.write(column.read(change.cells[column.name]))
            before = after
            if change.before is not None:
                before = column.write(getattr(change.before, self.declaration.model_field(column.field).attname))
            if before == after:
                row.diff.append(conditional_escape(after))
            else:
                row.diff.append(format_html("<del>{}</del> <ins>{}</ins>", before, after))
        if change.before:
            row.add_instance_info(change.before)
        return row


@contextmanager
def _on_disk(dataset: Any) -> Iterator[Path]:
    if isinstance(dataset, tablib.Dataset):
        dataset = UploadedFile(dataset.export("csv").encode())
    yield dataset.path


def resource_for(export: Export) -> type[ExportResource]:
    """The resource of an export, with the same columns in the same order."""

    class Meta:
        model = export.model
        name = _("Columns as in the billing system")
        fields = tuple(column.field for column in export.columns)
        import_order = export_order = fields
        import_id_fields = export.key
        skip_unchanged = True

    columns = {
        column.field: Field(
            attribute=export.model_field(column.field).attname, column_name=column.name, widget=ColumnWidget(column)
        )
        for column in export.columns
    }
    name = f"{export.model.__name__}Resource"
    resource: type[ExportResource] = ModelDeclarativeMetaclass(
        name, (ExportResource,), {**columns, "Meta": Meta, "declaration": export, "__module__": __name__}
    )
    return resource
