"""Bar charts as the theme's Chart.js reads them, readable on light and dark ground."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language

INK = "#7c8594"


@dataclass(frozen=True)
class Series:
    """The bars of one colour, one for each label of the chart; None where there is nothing to tell."""

    label: str
    colour: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class BarChart:
    """``data`` and ``options`` of Chart.js, as JSON."""

    data: str
    options: str


def bars(labels: Sequence[str], series: Sequence[Series], *, stacked: bool = False) -> BarChart:
    """Each label's bars beside or upon one another, with a legend. Numbers follow the page's language."""
    datasets = [{"label": one.label, "backgroundColor": one.colour, "data": [*one.values]} for one in series]
    ticks = {"color": INK, "maxRotation": 0, "autoSkipPadding": 12, "precision": 0}
    options: dict[str, Any] = {
        "locale": get_language(),
        "animation": False,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "datasets": {"bar": {"maxBarThickness": 26, "borderRadius": 2}},
        "plugins": {"legend": {"position": "bottom", "labels": {"color": INK, "boxWidth": 10, "boxHeight": 10}}},
        "scales": {
            "x": {"stacked": stacked, "ticks": ticks, "grid": {"display": False}},
            "y": {"stacked": stacked, "ticks": ticks, "beginAtZero": True, "border": {"display": False}},
        },
    }
    return BarChart(json.dumps({"labels": [*labels], "datasets": datasets}), json.dumps(options))
