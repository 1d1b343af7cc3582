"""What a person fills in to have a file imported."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from evncare.imports.columns import Column, ColumnError, Number
from evncare.imports.declarations import Export

DROPPED_SHOWN = 50


class AmountField(forms.CharField):
    """A count or a sum as it stands on a print-out. Whole numbers may have separators: VND has no decimals."""

    WHOLE = re.compile(r"-?(\d+|\d{1,3}(?:([., \u00a0'])\d{3})(?:\2\d{3})*)", re.ASCII)

    def __init__(self, column: Column | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.decimal = Number("", "", max_digits=30) if isinstance(column, Number) else None
        self.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off", "class": "vTextField"}

    def clean(self, value: Any) -> str:
        text = str(super().clean(value)).strip()
        if not text:
            return ""
        if self.decimal:
            try:
                return str(self.decimal.parse(text))
            except ColumnError as error:
                raise forms.ValidationError(f"{text} {error}") from error
        if not self.WHOLE.fullmatch(text):
            raise forms.ValidationError(_("%(text)s is not a whole number") % {"text": text})
        return re.sub(r"[^\d-]", "", text)


class UploadForm(forms.Form):
    file = forms.FileField(label=gettext_lazy("File from this computer"), required=False)
    dropped = forms.ChoiceField(
        label=gettext_lazy("File from the drop folder"), required=False, widget=forms.RadioSelect
    )
    is_snapshot = forms.BooleanField(
        label=gettext_lazy("The file lists everything that is open in its units"),
        help_text=gettext_lazy("What it no longer lists is settled."),
        required=False,
        initial=True,
    )
    snapshot_date = forms.DateField(
        label=gettext_lazy("As of"),
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        required=False,
        initial=timezone.localdate,
    )

    def __init__(self, export: Export, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.export = export
        if not export.snapshot:
            del self.fields["is_snapshot"], self.fields["snapshot_date"]
        summed = [column for column in export.columns if column.summed]
        self.fields["rows"] = AmountField(label=_("rows"), required=False)
        self.fields |= {column.name: AmountField(column, label=column.name, required=False) for column in summed}
        self.total_names = ["rows", *(column.name for column in summed)]
        dropped = self.fields["dropped"]
        assert isinstance(dropped, forms.ChoiceField)
        dropped.choices = [(path.name, path.name) for path in dropped_files()]

    @property
    def totals(self) -> list[forms.BoundField]:
        return [self[name] for name in self.total_names]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if bool(cleaned.get("file")) == bool(cleaned.get("dropped")) and not self.errors:
            raise forms.ValidationError(_("Choose one file: from this computer or from the drop folder."))
        if cleaned.get("is_snapshot") and not cleaned.get("snapshot_date") and "snapshot_date" not in self.errors:
            self.add_error("snapshot_date", _("Of which day is the snapshot?"))
        return cleaned

    @contextmanager
    def opened(self) -> Iterator[tuple[BinaryIO, str]]:
        """The chosen file and its name."""
        if uploaded := self.cleaned_data.get("file"):
            yield uploaded, uploaded.name
        else:
            name = self.cleaned_data["dropped"]
            with Path(settings.IMPORT_DROP_DIR, name).open("rb") as file:
                yield file, name

    def control_totals(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in self.total_names if self.cleaned_data.get(name)}


def dropped_files() -> list[Path]:
    """What lies in the drop folder, the newest first. Hidden files are those that are still being written."""
    folder = Path(settings.IMPORT_DROP_DIR)
    if not folder.is_dir():
        return []
    found = [
        (path.stat().st_mtime, path)
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    ]
    return [path for _time, path in sorted(found, reverse=True)[:DROPPED_SHOWN]]
