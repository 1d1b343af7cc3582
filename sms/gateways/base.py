"""What a carrier's gateway is: how its messages and reports reach us, and how our replies reach it.

A gateway is one file with one class. It authenticates and normalises what comes in, and it sends one reply.
It never touches the database and decides nothing about states: it says what happened, by a value or by one
of the errors below, and the inbox and outbox draw the consequence.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest, HttpResponse, JsonResponse

from evncare.addresses import client_address

# What the columns of a message can hold; a longer one is refused rather than cut.
MESSAGE_ID_LENGTH = 128
SENDER_LENGTH = 32
SHORT_CODE_LENGTH = 16
OPERATOR_LENGTH = 32


@dataclass(frozen=True)
class Received:
    """One message from a customer, normalised. ``payload`` is what the carrier sent, byte for byte, less our secret."""

    message_id: str
    sender: str
    short_code: str
    text: str
    payload: bytes
    is_binary: bool = False
    operator: str = ""
    sent_at: datetime | None = None


@dataclass(frozen=True)
class Receipt:
    """What became of a message handed over: our id of it, and whether we had it before."""

    id: int
    duplicate: bool


@dataclass(frozen=True)
class Reply:
    """One reply to hand to the carrier. ``encoding`` is GSM-7 or UCS-2."""

    reference: str
    in_reply_to: str
    to: str
    short_code: str
    text: str
    encoding: str
    segments: int
    charge: bool


class Fate(StrEnum):
    """What a delivery report says. ACCEPTED means only that the carrier's own centre took the message."""

    ACCEPTED = "ACCEPTED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True)
class Report:
    """A delivery report. Exactly one of ``reference`` (ours) and ``message_id`` (the carrier's) names the reply.

    ``fate`` is None for reports that change nothing (buffered, enroute).
    """

    reference: str
    message_id: str
    fate: Fate | None
    at: datetime | None = None
    detail: str = ""


class Declined(Exception):
    """A request that is not taken. ``status`` is its HTTP answer, so a new reason is a new subclass and no more.

    The text goes to the carrier and to the log: it never holds a secret, a phone number or a message.
    """

    status = 400


class Malformed(Declined):
    """The request can't be understood: ``errors`` maps each field to what is wrong with it."""

    def __init__(self, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__("; ".join(f"{field}: {' '.join(texts)}" for field, texts in errors.items()))
        self.errors = errors


class Unauthorised(Declined):
    """The request does not prove that it comes from the carrier."""

    status = 401


class Forbidden(Declined):
    """The carrier may not call from there."""

    status = 403


class TooLarge(Declined):
    """The body is larger than any message can be."""

    status = 413


class Unsupported(Declined):
    """The body is in a format that the gateway doesn't read."""

    status = 415


class SendError(Exception):
    """A reply was not, or perhaps not, taken. The text says what the carrier answered, without secrets."""


class Refused(SendError):
    """The carrier will never take it: final."""


class TryLater(SendError):
    """The carrier did not take it now; ``retry_after`` seconds if it said when."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Unknown(SendError):
    """The request left, and no answer tells whether the carrier took it. It must not be sent again blindly."""


class Gateway(ABC):
    """One configured carrier. Built once per process from its entry in SMS_CARRIERS; must be thread-safe.

    The options of the entry are the keyword arguments of the class. Every carrier may have ``networks``, the
    only ones from which it may call, as ``["10.1.0.0/16"]``. A wrong option raises TypeError or ValueError.
    """

    inbound_methods: Sequence[str] = ("POST",)
    report_methods: Sequence[str] = ("POST",)
    # Whether callers prove who they are by a secret, and whether an address to send to is known: for the checks.
    has_secret = False
    can_send = True
    # Whether the carrier takes each of our references once, so that asking again makes no second message.
    takes_each_once = False

    def __init__(self, name: str, *, networks: Sequence[str] = ()) -> None:
        if isinstance(networks, str):
            raise ValueError("networks must be a list")
        self.name = name
        self.networks = [ip_network(str(network)) for network in networks]

    def authenticate(self, request: HttpRequest) -> None:
        """Return if the request comes from the carrier; raise Unauthorised or Forbidden if not.

        Where networks are listed, the caller must be in one; where a secret is set, it must prove to know it.
        A carrier with neither is refused altogether.
        """
        if self.networks and not self._calls_from_its_networks(request):
            raise Forbidden("Not from this network.")
        if self.has_secret and not self.knows_secret(request):
            raise Unauthorised("No valid credentials.")
        if not self.networks and not self.has_secret:
            raise Unauthorised("No credentials are set up for this carrier.")

    def knows_secret(self, request: HttpRequest) -> bool:
        """Whether the request proves to know the carrier's secret. Asked only where ``has_secret``."""
        return False

    @abstractmethod
    def read_message(self, request: HttpRequest) -> Received:
        """The message that the request hands over. Raises Declined, mostly Malformed."""

    @abstractmethod
    def acknowledge(self, receipt: Receipt) -> HttpResponse:
        """The answer that tells the carrier that its message is stored."""

    @abstractmethod
    def read_report(self, request: HttpRequest) -> Report:
        """The delivery report in the request. Raises Declined, mostly Malformed."""

    @abstractmethod
    def acknowledge_report(self, known: bool) -> HttpResponse:
        """The answer to a delivery report; not ``known`` if it is about no reply of ours."""

    def decline(self, status: int, text: str, errors: Mapping[str, Sequence[str]] | None = None) -> HttpResponse:
        """The answer to a request that is not taken; ``errors`` by field if it was malformed."""
        response = JsonResponse(errors or {"detail": text}, status=status)
        if status == Unauthorised.status:
            response["WWW-Authenticate"] = "Bearer"
        return response

    @abstractmethod
    def send(self, reply: Reply) -> str:
        """Hand one reply over; return the carrier's id of it, empty if it gives none.

        Raises Refused, TryLater or Unknown; anything else counts as Unknown, since the request may have left.
        """

    def close(self) -> None:
        """Let go of connections; the gateway isn't used after that."""
        return

    def _calls_from_its_networks(self, request: HttpRequest) -> bool:
        try:
            address = ip_address(client_address(request) or "")
        except ValueError:  # a Unix socket
            return False
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        return any(address in network for network in self.networks)
