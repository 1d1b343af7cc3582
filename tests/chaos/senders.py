"""The customers' side of the chaos run: messages posted over HTTP at full speed, repeated until acknowledged."""

import http.client
import json
import random
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

SENDERS = 12
CODE = "PP05000974006"
DUPLICATES, RESENDS = 0.10, 0.03
PATIENCE = 180
TEXTS = (
    *(f"NTD {CODE}", f"TD {CODE} 1 10 2016", f"cs {CODE} ky 1 thang 10 nam 2016", f"LGD {CODE} 1 10 2016"),
    *("TC", f"LCD {CODE}", "NTD PP05000999999", f"TD {CODE} 1 1 2001", "xin chao", ""),
)
UNANSWERABLE = ("EVNCPC", "8088")


@dataclass(frozen=True)
class Message:
    id: str
    sender: str
    text: str
    duplicates: int = 0
    resend_of: str = ""


def messages(seed: str, number: int) -> list[Message]:
    """So many messages, always the same for a seed: each sender asks once, and a few send again under a new id."""
    dice = random.Random(f"{seed} messages")
    made: list[Message] = []
    while len(made) < number:
        at = len(made)
        sender = dice.choice(UNANSWERABLE) if dice.random() < 0.01 else f"8490{at:07}"
        duplicates = dice.choice((1, 1, 1, 2, 3)) if dice.random() < DUPLICATES else 0
        message = Message(f"{seed}-{at:06}", sender, dice.choice(TEXTS), duplicates)
        made.append(message)
        if dice.random() < RESENDS and len(made) < number:
            made.append(Message(f"{message.id}-again", sender, message.text, 0, message.id))
    return made


@dataclass
class Acknowledged:
    """What we answered the senders: for each message's id, the ids of ours and how often it was new."""

    rows: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    new: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    statuses: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, message: Message, status: int, answer: bytes) -> None:
        with self.lock:
            self.statuses[str(status or "no answer")] += 1
            if status in (200, 202):
                told = json.loads(answer)
                self.rows[message.id].add(told["id"])
                self.new[message.id] += not told["duplicate"]


class Senders:
    """Posts all messages from several threads. A resend follows its first message at once, on the same connection."""

    def __init__(self, port: int, path: str, token: str, all_messages: list[Message]) -> None:
        self.port, self.path = port, path
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.acknowledged = Acknowledged()
        self.gave_up: list[str] = []
        slices: list[list[Message]] = [[] for _ in range(SENDERS)]
        place = 0
        for message in all_messages:
            place += not message.resend_of
            slices[place % SENDERS].append(message)
        self.threads = [threading.Thread(target=self.send, args=(part,), daemon=True) for part in slices]
        for thread in self.threads:
            thread.start()

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def send(self, part: list[Message]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        again: list[Message] = []
        for message in part:
            self.post(connection, message)
            for number in range(message.duplicates):
                if number == 0:
                    self.post(connection, message)
                else:
                    again.append(message)
        for message in again:
            self.post(connection, message)
        connection.close()

    def post(self, connection: http.client.HTTPConnection, message: Message) -> None:
        """Post one message until the answer is a 2xx, as carriers do."""
        fields = {"message_id": message.id, "sender": message.sender, "short_code": "8088", "text": message.text}
        body, deadline, wait = json.dumps(fields), time.monotonic() + PATIENCE, 0.1
        while time.monotonic() < deadline:
            status, answer = 0, b""
            try:
                connection.request("POST", self.path, body, self.headers)
                response = connection.getresponse()
                answer, status = response.read(), response.status
            except (OSError, http.client.HTTPException):
                connection.close()
            self.acknowledged.note(message, status, answer)
            if status in (200, 202):
                return
            time.sleep(wait)
            wait = min(wait * 2, 1.0)
        self.gave_up.append(message.id)
