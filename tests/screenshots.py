"""Takes the pictures of docs/screenshots: ``make screenshots``. They show a made-up office (tests/story.py)."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from evncare.desk.samples import EXAMPLE_CUSTOMER
from tests.browser import missing
from tests.desk.service import running_desk

DIRECTORY = Path(settings.BASE_DIR, "docs", "screenshots")
PHONE = 390


@dataclass(frozen=True)
class Picture:
    """One page as one role sees it; ``then`` is what they do before the picture is taken."""

    name: str
    role: str
    path: str
    width: int = 1280
    then: Callable[[Any], Any] = lambda page: None


def search(page: Any) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.insert_text("nguyen van")
    page.wait_for_selector("[role=option]")


def open_first_message(page: Any) -> None:
    page.locator("#result_list a").first.click()
    page.wait_for_selector(".life")


PICTURES = (
    Picture("start", "supervisor", ""),
    Picture("start-phone", "supervisor", "", PHONE),
    Picture("search", "agent", "", then=search),
    Picture("customer", "agent", f"billing/customer/{EXAMPLE_CUSTOMER}/change/"),
    Picture("customer-phone", "agent", f"billing/customer/{EXAMPLE_CUSTOMER}/change/", PHONE),
    Picture("messages", "agent", "sms/inboundmessage/"),
    Picture("message", "supervisor", "sms/inboundmessage/?attention=unknown", then=open_first_message),
    Picture("try", "agent", f"sms/inboundmessage/try/?text=NTD+{EXAMPLE_CUSTOMER}"),
    Picture("try-phone", "agent", f"sms/inboundmessage/try/?text=NTD+{EXAMPLE_CUSTOMER}", PHONE),
    Picture("wordings", "supervisor", "sms/wordingversion/"),
    Picture("wording", "supervisor", "sms/wordingversion/NTD.answered/edit/"),
    Picture("imports", "billing", "imports/importrun/"),
    Picture("looks", "auditor", "desk/accessrecord/"),
)


def main() -> int:
    if reason := missing():
        print(f"evncare: {reason}", file=sys.stderr)
        return 1
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, running_desk(Path(directory)) as desk:
        for picture in PICTURES:
            with desk.signed_in(picture.role, width=picture.width) as page:
                page.goto(f"{desk.address}/admin/{picture.path}")
                picture.then(page)
                page.wait_for_timeout(1200)  # charts draw themselves with an animation
                page.screenshot(path=DIRECTORY / f"{picture.name}.png")
                print(f"docs/screenshots/{picture.name}.png")
    return 0
