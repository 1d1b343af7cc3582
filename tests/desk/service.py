"""The desk as staff live with it: a web server, a database of its own with a month's story, a real browser."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from evncare.desk.children import running_children
from evncare.desk.management.commands.demo import is_up
from evncare.embedded import free_port
from tests import story
from tests.browser import browser
from tests.databases import database_of_its_own

SECONDS = 120


@dataclass
class Desk:
    address: str
    chromium: Any
    signed: dict[str, Any] = field(default_factory=dict)  # what the browser keeps of each one's first signing in

    @contextmanager
    def signed_in(self, name: str, *, width: int = 1280, height: int = 860) -> Iterator[Any]:
        """The start page of somebody who has signed in, in Vietnamese; what the browser complains of is an error."""
        view = {"locale": "en-US", "viewport": {"width": width, "height": height}}
        context = self.chromium.new_context(storage_state=self.signed.get(name), **view)
        context.set_default_timeout(SECONDS * 1000)
        page = context.new_page()
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: troubles.append(request.url) if not self.serves(request.url) else None)
        try:
            page.goto(f"{self.address}/admin/")
            if name not in self.signed:
                page.fill("#id_username", name)
                page.fill("#id_password", story.PASSWORD)
                page.press("#id_password", "Enter")
                page.wait_for_selector("main:not(.signin)")
                page.wait_for_load_state()
                self.signed[name] = context.storage_state()
            yield page
            if troubles:
                raise AssertionError("\n".join(troubles))
        finally:
            context.close()

    def serves(self, url: str) -> bool:
        return url.startswith((self.address, "data:"))


@contextmanager
def running_desk(directory: Path) -> Iterator[Desk]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        environment = os.environ | {
            "DATABASE_URL": stack.enter_context(database_of_its_own(directory)),
            "REDIS_URL": "redis://127.0.0.1:1/0",  # nobody answers: the story's messages stay as they are told
            "SMS_CARRIERS": json.dumps({story.CARRIER: {"BACKEND": "memory", "OPTIONS": {"token": "told to nobody"}}}),
            "SMS_REPLY_MAX_AGE_MINUTES": str(60 * 24 * 60),
            "IMPORTS_DIR": str(directory / "imports"),
            "IMPORT_DROP_DIR": str(directory / "drop"),
            "ALLOWED_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
        }
        tell = "from tests.story import tell; tell()"
        for arguments in (["migrate", "-v0"], ["shell", "-v0", "-c", tell]):
            command = [sys.executable, "manage.py", *arguments]
            subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True)
        children = stack.enter_context(running_children(directory, environment))
        chromium = stack.enter_context(browser())
        web = ("--interface", "wsgi", "--no-ws", "--blocking-threads", "4", "--port", str(port))
        children.start("web", "granian", *web, "evncare.wsgi:application")
        children.wait_until("the web server", lambda: is_up(f"{address}/admin/login/"), SECONDS)
        yield Desk(address, chromium)
