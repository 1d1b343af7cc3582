"""The carrier behind a Kannel SMS gateway: its `sms-service` calls us, and we call its `sendsms`.

docs/add-a-carrier.md has the Kannel configuration that belongs to this.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote_plus, urlencode

from django.http import HttpRequest, HttpResponse

from sms.gateways.base import (
    MESSAGE_ID_LENGTH,
    OPERATOR_LENGTH,
    SENDER_LENGTH,
    SHORT_CODE_LENGTH,
    Fate,
    Gateway,
    Malformed,
    Receipt,
    Received,
    Reply,
    Report,
)
from sms.gateways.incoming import canonical_sender, same_secret, storable
from sms.gateways.outgoing import Outgoing

BINARY, UCS_2 = "1", "2"  # as Kannel codes messages; 0 is text
CHARSETS = {"utf-8", "us-ascii", "iso-8859-1", "windows-1252", "utf-16be"}

# Kannel's %d in a delivery report -> what it says; bit 4, buffered, changes nothing.
FATES: dict[str, Fate | None] = {
    "1": Fate.DELIVERED,
    "2": Fate.FAILED,
    "4": None,
    "8": Fate.ACCEPTED,
    "16": Fate.FAILED,
}


class KannelGateway(Gateway):
    """Options: ``token``, expected as ``?token=`` since Kannel sends no headers of ours; ``networks``; ``url`` of
    sendsms with ``username``, ``password`` and, if wanted, ``smsc`` and ``account``; ``dlr_url``, our own address for
    reports with its token, and ``dlr_mask``, the reports wanted; ``timeout`` in seconds."""

    inbound_methods = ("GET", "POST")
    report_methods = ("GET",)

    def __init__(
        self,
        name: str,
        *,
        token: str = "",
        networks: Sequence[str] = (),
        url: str = "",
        username: str = "",
        password: str = "",
        smsc: str = "",
        account: str = "",
        dlr_url: str = "",
        dlr_mask: int = 27,  # delivered, failed, taken and refused by the message centre; not: buffered
        timeout: float = 10,
    ) -> None:
        super().__init__(name, networks=networks)
        self._token = token
        self.has_secret = bool(token)
        self.can_send = bool(url)
        self._outgoing = Outgoing(url, timeout)
        constant = {"username": username, "password": password, "smsc": smsc, "account": account}
        self._constant = {name: value for name, value in constant.items() if value}
        self._dlr_url = dlr_url
        self._dlr_mask = dlr_mask

    def knows_secret(self, request: HttpRequest) -> bool:
        return same_secret(parameters(request).get("token", ""), self._token)

    def read_message(self, request: HttpRequest) -> Received:
        if request.method == "POST":
            given = _posted(request)
            payload = request.body
        else:
            given = parameters(request)
            payload = _without_token(request.META.get("QUERY_STRING", ""))
        errors: dict[str, list[str]] = {}
        message_id = _identifier(given, "id", MESSAGE_ID_LENGTH, errors)
        sender = _identifier(given, "from", SENDER_LENGTH, errors)
        short_code = _identifier(given, "to", SHORT_CODE_LENGTH, errors)
        operator = _identifier(given, "smsc", OPERATOR_LENGTH, errors) if given.get("smsc") else ""
        if "text" not in given:
            errors["text"] = ["Missing."]
        if errors:
            raise Malformed(errors)
        coding = given.get("coding", "0")
        return Received(
            message_id=message_id,
            sender=canonical_sender(sender),
            short_code=short_code,
            text=_text(given["text"].encode("latin-1"), coding, given.get("charset", "")),
            payload=payload,
            is_binary=coding == BINARY,
            operator=operator,
            sent_at=_moment(given.get("time", "")),
        )

    def acknowledge(self, receipt: Receipt) -> HttpResponse:
        return _silence()

    def read_report(self, request: HttpRequest) -> Report:
        given = parameters(request)
        errors: dict[str, list[str]] = {}
        reference = _identifier(given, "reference", MESSAGE_ID_LENGTH, errors)
        status = given.get("status", "")
        if status not in FATES:
            errors["status"] = [f"Not one of {', '.join(FATES)}."]
        if errors:
            raise Malformed(errors)
        return Report(reference, "", FATES[status], at=_moment(given.get("time", "")), detail=f"Kannel status {status}")

    def acknowledge_report(self, known: bool) -> HttpResponse:
        return _silence()

    def decline(self, status: int, text: str, errors: Mapping[str, Sequence[str]] | None = None) -> HttpResponse:
        return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")

    def send(self, reply: Reply) -> str:
        parameters = self._constant | {
            "from": reply.short_code,
            "to": reply.to,
            "text": reply.text,
            "charset": "UTF-8",
            "coding": "0" if reply.encoding == "GSM-7" else UCS_2,
        }
        if self._dlr_url:
            parameters["dlr-mask"] = str(self._dlr_mask)
            parameters["dlr-url"] = self._report_url(reply.reference)
        self._outgoing.request("GET", params=parameters)
        return ""  # Kannel gives none: its reports carry our reference

    def close(self) -> None:
        self._outgoing.close()

    def _report_url(self, reference: str) -> str:
        joint = "&" if "?" in self._dlr_url else "?"
        return f"{self._dlr_url}{joint}{urlencode({'reference': reference})}&status=%d&time=%T"


def parameters(request: HttpRequest) -> dict[str, str]:
    """The parameters of the address. Each character is one byte: its meaning depends on the charset that one names."""
    query = request.META.get("QUERY_STRING", "")
    try:
        pairs = parse_qsl(query, keep_blank_values=True, encoding="latin-1", max_num_fields=64)
    except ValueError as error:
        raise Malformed({"parameters": ["Too many."]}) from error
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Malformed({"parameters": ["One is given twice."]})
    return given


def _posted(request: HttpRequest) -> dict[str, str]:
    """What `post-url` sends: the text as body, the rest in headers, and the id, which has no header, in the address."""
    headers = {
        "from": "HTTP_X_KANNEL_FROM",
        "to": "HTTP_X_KANNEL_TO",
        "time": "HTTP_X_KANNEL_TIME",
        "smsc": "HTTP_X_KANNEL_SMSC",
        "coding": "HTTP_X_KANNEL_CODING",
    }
    told = {name: request.META[header] for name, header in headers.items() if header in request.META}
    charset = (request.content_params or {}).get("charset", "")
    return told | {"charset": charset} | parameters(request) | {"text": request.body.decode("latin-1")}


def _identifier(given: Mapping[str, str], name: str, length: int, errors: dict[str, list[str]]) -> str:
    value = given.get(name, "").encode("latin-1").decode("utf-8", "replace").strip()
    if not value:
        errors[name] = ["Missing."]
    elif len(value) > length:
        errors[name] = [f"Longer than {length} characters."]
    elif not value.isprintable():
        errors[name] = ["Not printable."]
    return value


def _text(raw: bytes, coding: str, charset: str) -> str:
    """The text, or the octets of a binary message in hex. Undecodable ones are marked: a 400 would lose the message."""
    if coding == BINARY:
        return raw.hex()
    charset = charset.lower()
    if charset not in CHARSETS:
        charset = "utf-16be" if coding == UCS_2 else "utf-8"
    return storable(raw.decode(charset, "replace"))


def _moment(value: str) -> datetime | None:
    """Kannel's %t (UTC) or %T (epoch); None for anything else, since no message is lost for its time."""
    try:
        if value.isdecimal() and len(value) <= 10:
            return datetime.fromtimestamp(int(value), UTC)
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _without_token(query: str) -> bytes:
    return "&".join(p for p in query.split("&") if unquote_plus(p.partition("=")[0]) != "token").encode("latin-1")


def _silence() -> HttpResponse:
    """The only answer that makes Kannel text nothing to the customer."""
    return HttpResponse(b"", content_type="text/plain; charset=utf-8")
