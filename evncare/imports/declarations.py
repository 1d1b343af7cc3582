"""The vocabulary in which an app declares the exports that it takes in, and the list of all that are declared.

An app lists its exports as ``EXPORTS`` in its module ``exports``; that is all it takes to make them known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import import_module
from typing import Any

from django.apps import apps
from django.db import models
from django.utils.module_loading import module_has_submodule

from evncare.imports.columns import Column


@dataclass(frozen=True)
class Check:
    """A rule over several fields of one row.

    ``problem`` gets their values and returns why the row can't be, or None. The row is rejected for the column of the
    first field; with ``warning`` it is taken and only counted.
    """

    fields: tuple[str, ...]
    problem: Callable[..., str | None]
    warning: bool = False


@dataclass(frozen=True)
class Derived:
    """A field that no column fills but that follows from others."""

    field: str
    fields: tuple[str, ...]
    value: Callable[..., Any]


@dataclass(frozen=True)
class Snapshot:
    """An export that lists all there is: what is no longer listed within the parts that the file covers is settled.

    ``settled_at`` is the moment's field. ``link`` is the foreign key, and ``part`` the field over there, by which the
    rows fall into parts: a file covers the parts of the rows that it lists.
    """

    settled_at: str
    link: str
    part: str


@dataclass(frozen=True)
class Export:
    """One kind of export: which columns fill which model, and what holds a row together.

    ``key`` are the model fields that name a row. Foreign keys must lead to rows that exist; those to the model itself
    may also lead to a row of the same file. ``due_after`` is how old the last load may get before staff are told.
    """

    name: str
    model: type[models.Model]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    derived: tuple[Derived, ...] = ()
    snapshot: Snapshot | None = None
    due_after: timedelta | None = None

    def __post_init__(self) -> None:
        fitted = tuple(column.fitted_to(self.model_field(column.field)) for column in self.columns)
        object.__setattr__(self, "columns", fitted)
        if self.snapshot and len(self.key) != 1:
            raise TypeError(f"{self.name}: a snapshot needs a key of one field")

    def model_field(self, name: str) -> "models.Field[Any, Any]":
        field = self.model._meta.get_field(name)
        if not isinstance(field, models.Field):
            raise TypeError(f"{self.name}: {name} is no field that a column can fill")
        return field

    def column_of(self, field: str) -> Column:
        return next(column for column in self.columns if column.field == field)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that a row of this export fills: the columns' first, then the derived ones."""
        return tuple(column.field for column in self.columns) + tuple(derived.field for derived in self.derived)


@cache
def declared_exports() -> dict[str, Export]:
    """All exports that the installed apps declare, by name."""
    exports: dict[str, Export] = {}
    for config in apps.get_app_configs():
        if config.module and module_has_submodule(config.module, "exports"):
            module = import_module(f"{config.name}.exports")
            exports |= {export.name: export for export in getattr(module, "EXPORTS", ())}
    return exports
