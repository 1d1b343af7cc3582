"""Settings, all read from the environment. A malformed one stops the start with one line that names it.

docs/operating.md lists them with their meaning.
"""

import contextlib
import os
import secrets
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from celery.schedules import crontab, schedule
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()


def read(name: str, cast: Any, default: Any) -> Any:
    """The environment's value of ``name``, or one line on standard error and the end."""
    try:
        return cast(name, default=default)
    except (ValueError, TypeError, KeyError, ImproperlyConfigured) as error:
        sys.exit(f"evncare: setting {name} is malformed: {error}")


def require(name: str, holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"evncare: setting {name} is malformed: {what}")


def kept_secret_key() -> str:
    """A key for this checkout, made at the first start and readable by its owner only."""
    path = VAR_DIR / "secret_key"
    try:
        VAR_DIR.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=VAR_DIR) as file:  # made for its owner only
            file.write(secrets.token_urlsafe(50))
            file.flush()
            with contextlib.suppress(FileExistsError):
                os.link(file.name, path)  # whole or not at all, however many processes start at once
    except OSError as error:
        sys.exit(f"evncare: setting SECRET_KEY is missing, and none can be kept under var/: {error}")
    return path.read_text()


DEBUG: bool = read("DEBUG", env.bool, False)
SECRET_KEY: str = read("SECRET_KEY", env.str, "") or kept_secret_key()
require("SECRET_KEY", len(SECRET_KEY) >= 32, "it needs at least 32 characters")
ALLOWED_HOSTS: list[str] = read("ALLOWED_HOSTS", env.list, ["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    # The theme comes before what it themes.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.import_export",
    "evncare.desk",
    "sms",
    "billing",
    "outages",
    "evncare.imports",
    "import_export",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "evncare.desk.apps.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "csp",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "evncare.desk.middleware.ChosenLanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "evncare.desk.middleware.IdleSessionMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "evncare.desk.middleware.PermissionsPolicyMiddleware",
    "axes.middleware.AxesMiddleware",  # last, as it asks
]
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]

ROOT_URLCONF = "evncare.urls"
WSGI_APPLICATION = "evncare.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Database. SQLite serves the demo, the tests and a small office; PostgreSQL serves the corporation.
DATABASES: dict[str, Any] = {"default": read("DATABASE_URL", env.db_url, f"sqlite:///{VAR_DIR / 'evncare.sqlite3'}")}
_database = DATABASES["default"]
require("DATABASE_URL", "ENGINE" in _database, "it must be like postgres://user:password@host/name or sqlite:///path")
if _database["ENGINE"] == "django.db.backends.sqlite3":
    Path(_database["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    _database["OPTIONS"] = {
        # Writers queue up at BEGIN instead of failing half-way; readers never wait; what is committed is on disk.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
    }
else:
    # A host that is gone without a word must not hold the web's threads: a carrier that gets its 503 comes again.
    _database.setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
# A connection a request would cost more than the request.
_database["CONN_MAX_AGE"] = 600
_database["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis is only the doorbell: what waits is in the database. Without a setting it is the embedded server,
# which writes its address under var/ when the demo starts it.
EMBEDDED_REDIS_URL_FILE = VAR_DIR / "redis.url"


def embedded_redis_url() -> str:
    try:
        return EMBEDDED_REDIS_URL_FILE.read_text().strip()
    except FileNotFoundError:
        return "redis://127.0.0.1:6379/0"


REDIS_URL: str = read("REDIS_URL", env.str, "") or embedded_redis_url()
require("REDIS_URL", REDIS_URL.startswith(("redis://", "rediss://")), "it must begin with redis:// or rediss://")

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 5, "socket_connect_timeout": 2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False  # a lost ring costs seconds: the scheduler rings too
CELERY_TIMEZONE = "Asia/Ho_Chi_Minh"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "celerybeat-schedule")
CELERY_BEAT_SCHEDULE = {
    "answer-waiting": {"task": "sms.answer_waiting", "schedule": schedule(10), "options": {"expires": 10}},
    "deliver-waiting": {"task": "sms.deliver_waiting", "schedule": schedule(10), "options": {"expires": 10}},
    "count-hours": {"task": "sms.count_hours", "schedule": schedule(60), "options": {"expires": 60}},
    "forget-old": {"task": "sms.forget_old", "schedule": crontab(hour=2, minute=30), "options": {"expires": 3600}},
    "forget-old-sign-ins": {
        "task": "desk.forget_old_sign_ins",
        "schedule": crontab(hour=2, minute=45),
        "options": {"expires": 3600},
    },
    "audit-yesterday": {
        "task": "sms.audit_yesterday",
        "schedule": crontab(hour=6, minute=0),
        "options": {"expires": 3600},
    },
    "work-on-imports": {"task": "imports.work_waiting", "schedule": schedule(10), "options": {"expires": 10}},
}

# The service itself.
SMS_SHORT_CODE: str = read("SMS_SHORT_CODE", env.str, "8088")
require("SMS_SHORT_CODE", SMS_SHORT_CODE.isdecimal(), "it must be digits")
SMS_PRICE_VND: int = read("SMS_PRICE_VND", env.int, 1000)
# To whom readings and money are told: "all" who know the code, or only phones "registered" on the account.
SMS_DISCLOSURE: str = read("SMS_DISCLOSURE", env.str, "all")
require("SMS_DISCLOSURE", SMS_DISCLOSURE in ("all", "registered"), 'it must be "all" or "registered"')
SMS_LIMIT_PER_HOUR: int = read("SMS_LIMIT_PER_HOUR", env.int, 30)
SMS_CODES_PER_DAY: int = read("SMS_CODES_PER_DAY", env.int, 20)
require("SMS_LIMIT_PER_HOUR", SMS_LIMIT_PER_HOUR > 0, "it must be at least 1")
require("SMS_CODES_PER_DAY", SMS_CODES_PER_DAY > 0, "it must be at least 1")
# An answer older than this is not sent any more.
SMS_REPLY_MAX_AGE_MINUTES: int = read("SMS_REPLY_MAX_AGE_MINUTES", env.int, 24 * 60)
require("SMS_REPLY_MAX_AGE_MINUTES", SMS_REPLY_MAX_AGE_MINUTES > 0, "it must be at least 1")
# A reply that was claimed so long ago and is still being sent was left by a process that died. It has to exceed what
# one batch can take: seven times the carrier's time-out.
SMS_CLAIM_SECONDS: int = read("SMS_CLAIM_SECONDS", env.int, 300)
require("SMS_CLAIM_SECONDS", SMS_CLAIM_SECONDS >= 5, "it must be at least 5")
# Older messages keep neither number nor text. The limits per sender look back a day.
SMS_RETENTION_DAYS: int = read("SMS_RETENTION_DAYS", env.int, 730)
require("SMS_RETENTION_DAYS", 2 <= SMS_RETENTION_DAYS <= 36500, "it must be from 2 to 36500")
# How far a carrier's statement may differ from our log before it is disputed.
SMS_RECONCILE_TOLERANCE_PERCENT: float = read("SMS_RECONCILE_TOLERANCE_PERCENT", env.float, 1.0)
require("SMS_RECONCILE_TOLERANCE_PERCENT", 0 <= SMS_RECONCILE_TOLERANCE_PERCENT <= 100, "it must be from 0 to 100")
HOTLINE: str = read("HOTLINE", env.str, "19001909")
CUSTOMER_CODE_PREFIXES: list[str] = read("CUSTOMER_CODE_PREFIXES", env.list, ["PP", "PQ", "PC"])
require(
    "CUSTOMER_CODE_PREFIXES",
    bool(CUSTOMER_CODE_PREFIXES)
    and all(len(p) == 2 and p.isascii() and p.isalpha() and p.isupper() for p in CUSTOMER_CODE_PREFIXES),
    "it must list prefixes of two upper-case letters, as in PP,PQ,PC",
)
# Carrier name -> {"BACKEND": "rest", "OPTIONS": {...}}, shaped as CACHES; docs/add-a-carrier.md has the options.
SMS_CARRIERS: dict[str, dict[str, Any]] = read("SMS_CARRIERS", env.json, {})
require(
    "SMS_CARRIERS",
    isinstance(SMS_CARRIERS, dict) and all(isinstance(c, dict) and "BACKEND" in c for c in SMS_CARRIERS.values()),
    'it must be a JSON object like {"viettel": {"BACKEND": "rest", "OPTIONS": {"token": "..."}}}',
)

# What a carrier may post. A message is a few hundred bytes; uploads of exports go to temporary files.
SMS_MAX_BODY_BYTES = 64 * 1024

# Imports. Uploads are written where they are kept, never to memory; web servers and workers share the directory.
IMPORTS_DIR = Path(read("IMPORTS_DIR", env.str, str(VAR_DIR / "imports")))
# Where the billing system may put files for staff to choose from.
IMPORT_DROP_DIR = Path(read("IMPORT_DROP_DIR", env.str, str(VAR_DIR / "drop")))
for _directory in (IMPORTS_DIR, IMPORT_DROP_DIR):
    try:
        _directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as _error:
        sys.exit(f"evncare: the directory {_directory} of IMPORTS_DIR or IMPORT_DROP_DIR can't be made: {_error}")
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
FILE_UPLOAD_TEMP_DIR = IMPORTS_DIR
# A snapshot that settles or opens more than this many per cent of what is open needs a second person.
IMPORT_SNAPSHOT_SHARE: int = read("IMPORT_SNAPSHOT_SHARE", env.int, 30)
IMPORT_SNAPSHOT_FEW: int = read("IMPORT_SNAPSHOT_FEW", env.int, 10)
require("IMPORT_SNAPSHOT_FEW", IMPORT_SNAPSHOT_FEW >= 0, "it must be a number of rows")
require("IMPORT_SNAPSHOT_SHARE", 0 <= IMPORT_SNAPSHOT_SHARE <= 100, "it must be a share in per cent, 0 to 100")
IMPORT_FILES_KEPT_DAYS: int = read("IMPORT_FILES_KEPT_DAYS", env.int, 30)
require("IMPORT_FILES_KEPT_DAYS", IMPORT_FILES_KEPT_DAYS >= 1, "it must be at least 1")

LANGUAGE_CODE = "vi"
LANGUAGES = [("vi", _("Vietnamese")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "evncare" / "locale"]
TIME_ZONE = "Asia/Ho_Chi_Minh"
FORMAT_MODULE_PATH = ["evncare.formats"]
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
# Served straight from the packages: nothing to collect, nothing to forget on a deploy.
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

# Signing in. Guessing is stopped for the name at the address it is tried from, so nobody can lock others out.
AXES_FAILURE_LIMIT: int = read("SIGN_IN_ATTEMPTS", env.int, 5)
require("SIGN_IN_ATTEMPTS", AXES_FAILURE_LIMIT > 0, "it must be at least 1")
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # who goes on trying doesn't wait longer
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "evncare.desk.signin.locked_out"
AXES_HTTP_RESPONSE_CODE = 429
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code", "csrfmiddlewaretoken"]
AXES_CLIENT_IP_CALLABLE = "evncare.addresses.client_address"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
# How many proxies of ours stand before the web server and append to X-Forwarded-For.
TRUSTED_PROXIES: int = read("TRUSTED_PROXIES", env.int, 0)
require("TRUSTED_PROXIES", TRUSTED_PROXIES >= 0, "it must be 0 or more")
# A session ends when nothing was asked for so long, and with the browser. It is kept for another day, to say so.
SESSION_MINUTES: int = read("SESSION_MINUTES", env.int, 60)
require("SESSION_MINUTES", SESSION_MINUTES > 0, "it must be at least 1")
SESSION_COOKIE_AGE = SESSION_MINUTES * 60 + 24 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
OTP_TOTP_ISSUER = "evncare"

# Nothing is loaded from anywhere else, nothing inline runs. Why: docs/decisions/content-security-policy.md.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# The theme. Which pages the side bar lists: evncare/desk/navigation.py.
UNFOLD = {
    "SITE_TITLE": _("EVNCPC customer care"),
    "SITE_HEADER": _("EVNCPC customer care"),
    "SITE_SYMBOL": "bolt",
    "SITE_URL": None,
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("desk/favicon.svg")},
    ],
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "STYLES": [lambda _request: static("desk/admin.css"), lambda _request: static("desk/search.css")],
    "SIDEBAR": {"navigation": "evncare.desk.navigation.sections"},
    "DASHBOARD_CALLBACK": "evncare.desk.start.page.context",
    "LOGIN": {"form": "evncare.desk.signin.SignInForm"},
    "ACCOUNT": {
        "navigation": [
            {"title": _("Change password"), "link": reverse_lazy("admin:password_change")},
            {"title": _("Second factor"), "link": reverse_lazy("admin:second_factor")},
        ]
    },
}

# A host name beyond loopback means that people reach us over a network: then everything goes over TLS.
SECURE = any(host not in ("localhost", "127.0.0.1", "[::1]") for host in ALLOWED_HOSTS)
SECURE_SSL_REDIRECT = SECURE
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_SECURE = SECURE
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# Carriers and probes inside the data centre may speak plain HTTP to us.
SECURE_REDIRECT_EXEMPT = [r"^api/sms/", r"^health/", r"^metrics$"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],  # a gateway authenticates its carrier
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser", "rest_framework.parsers.FormParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "evncare SMS 8088",
    "DESCRIPTION": "How a carrier hands over messages from customers and reports the fate of replies.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "evncare.logs.DiscreetFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": read("LOG_LEVEL", env.str, "INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},  # it logs addresses, and a Kannel address carries the password
        "axes": {"level": "WARNING"},  # it logs each sign-in five times over, and keeps them in its tables anyway
    },
}
