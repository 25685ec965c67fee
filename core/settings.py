"""Settings of Glasscase. Everything an operator may change is an environment variable read by `core.environment`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF

from core import environment, shard_file
from core.logs import configuration as logging_configuration
from core.roles import LOGIN_ROLES

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Where state lives -----------------------------------------------------------------------------------------------
GLASSCASE_HOME = environment.path("GLASSCASE_HOME", BASE_DIR / "var")
# A process that works for one shard (core.shard_file): its server, home and log are the shard's.
GLASSCASE_SHARD = environment.text("GLASSCASE_SHARD", "", choices=("", *shard_file.read(GLASSCASE_HOME)))
_SHARD = shard_file.read(GLASSCASE_HOME)[GLASSCASE_SHARD] if GLASSCASE_SHARD else None
if _SHARD:
    GLASSCASE_HOME = _SHARD.home

# --- Safety of the web process ---------------------------------------------------------------------------------------
DEBUG = environment.boolean("GLASSCASE_DEBUG", default=False)
ALLOWED_HOSTS = environment.listing("GLASSCASE_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = environment.listing("GLASSCASE_TRUSTED_ORIGINS")

# HTTPS is assumed. `manage.py serve` on loopback switches it off for its own children.
HTTPS = environment.boolean("GLASSCASE_HTTPS", default=True)
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]", "testserver"}
if not HTTPS and not set(ALLOWED_HOSTS) <= _LOOPBACK:
    raise environment.SettingError(
        "GLASSCASE_HTTPS is off and GLASSCASE_ALLOWED_HOSTS names more than this machine. Passwords and photos would "
        "travel in clear: serve over HTTPS, or allow loopback names only."
    )
if environment.boolean("GLASSCASE_BEHIND_PROXY", default=False):
    # Only behind a proxy that sets (and never passes on) this header.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # The limits on sign-ins count by the address that this one proxy saw.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = environment.integer("GLASSCASE_SESSION_HOURS", 10, minimum=1, maximum=24) * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
# Files have limits of their own (core.uploads); everything else in a form is small.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
# In memory only: a photo must not lie in clear on a disk, not even for a moment.
FILE_UPLOAD_HANDLERS = ["core.uploads.Memory"]
DATA_UPLOAD_MAX_NUMBER_FIELDS = 200
DATA_UPLOAD_MAX_NUMBER_FILES = 10

# --- Application -----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "core.apps.CoreConfig",
    "search.apps.SearchConfig",
    "audit.apps.AuditConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",
    "rest_framework",
    "drf_spectacular",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "axes",
    "csp",
    "django_htmx",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "core.middleware.AccessMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "core.urls"
WSGI_APPLICATION = "core.wsgi.application"
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
                "core.navigation.context",
                "core.frame.context",
                "audit.oversight.context.log_line",
            ],
        },
    }
]
FORM_RENDERER = "core.rendering.Renderer"
# Every page says that the people on it are generated.
GLASSCASE_DEMO = environment.boolean("GLASSCASE_DEMO", default=False)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATICFILES_DIRS = [place for place in [BASE_DIR / "static"] if place.is_dir()]
# Served from the source tree: a demo needs no build step. Where the directory of collected files exists (it is made
# before `collectstatic` runs), those are served instead, under names that carry a hash of their content.
_COLLECTED = environment.path("GLASSCASE_STATIC_ROOT", BASE_DIR / "staticfiles")
STATIC_ROOT = _COLLECTED if _COLLECTED.is_dir() else None
WHITENOISE_USE_FINDERS = STATIC_ROOT is None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- Database --------------------------------------------------------------------------------------------------------
# Without a host: the embedded PostgreSQL below GLASSCASE_HOME.
GLASSCASE_DB_HOST = environment.text("GLASSCASE_DB_HOST", "")
GLASSCASE_DB_PORT = environment.integer("GLASSCASE_DB_PORT", 5432, minimum=1, maximum=65535)
GLASSCASE_DB_SSLMODE = environment.text(
    "GLASSCASE_DB_SSLMODE", "", choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
)
if _SHARD:
    GLASSCASE_DB_HOST, GLASSCASE_DB_PORT, GLASSCASE_DB_SSLMODE = _SHARD.host, _SHARD.port, _SHARD.sslmode
GLASSCASE_DB_SUPERUSER = environment.text("GLASSCASE_DB_SUPERUSER", "postgres")
GLASSCASE_DB_ROLE = environment.text("GLASSCASE_DB_ROLE", "app", choices=tuple(LOGIN_ROLES))
GLASSCASE_ROLE_PREFIX = environment.text("GLASSCASE_ROLE_PREFIX", "glasscase_")
# Megabytes for PostgreSQL's buffers in embedded mode; 0 takes a quarter of the memory, at most 2048.
GLASSCASE_DB_SHARED_BUFFERS_MB = environment.integer("GLASSCASE_DB_SHARED_BUFFERS_MB", 0, minimum=0)
DATABASES = {
    "default": {
        # Django's PostgreSQL backend; host and password are looked up when a connection is opened.
        "ENGINE": "core.postgresql",
        "NAME": environment.text("GLASSCASE_DB_NAME", "glasscase"),
        "USER": f"{GLASSCASE_ROLE_PREFIX}{GLASSCASE_DB_ROLE}",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "ATOMIC_REQUESTS": False,
        # Parameters travel beside the statement: no justification lands in a server log inside one.
        "OPTIONS": {"server_side_binding": True, "application_name": f"glasscase {GLASSCASE_DB_ROLE}"},
    }
}

# --- The log ---------------------------------------------------------------------------------------------------------
# The name of this installation's log: a URL without scheme, the same for ever. It stands in every checkpoint.
GLASSCASE_LOG_ORIGIN = environment.text("GLASSCASE_LOG_ORIGIN", "glasscase.invalid/log")
# File with the log's public keys; empty: the one that the signer writes below GLASSCASE_HOME.
GLASSCASE_LOG_VKEYS = environment.text("GLASSCASE_LOG_VKEYS", "")
# Whom the log has to be cosigned by: a C2SP tlog-policy file (docs/witnesses.md); empty: nobody.
GLASSCASE_WITNESS_POLICY = environment.text("GLASSCASE_WITNESS_POLICY", "")
# Where the signer keeps every checkpoint it publishes, once and for ever; empty: beside its key. Better on another machine or on
# media that can be written once: a signer that is restored together with its database is stopped by what it finds there.
GLASSCASE_CHECKPOINT_ARCHIVE = environment.text("GLASSCASE_CHECKPOINT_ARCHIVE", "")
if _SHARD:
    GLASSCASE_LOG_ORIGIN = _SHARD.origin(GLASSCASE_LOG_ORIGIN)
    GLASSCASE_LOG_VKEYS = GLASSCASE_WITNESS_POLICY = ""
    if GLASSCASE_CHECKPOINT_ARCHIVE:
        GLASSCASE_CHECKPOINT_ARCHIVE = f"{GLASSCASE_CHECKPOINT_ARCHIVE}/shard/{GLASSCASE_SHARD}"
# How long a step of a search or a reading waits for the sequencer and the signer before it says so.
GLASSCASE_LOG_WAIT_SECONDS = environment.integer("GLASSCASE_LOG_WAIT_SECONDS", 20, minimum=1, maximum=600)
# Whether checkpoint and hash tiles are open to anybody who reaches the server; entries always need a token.
GLASSCASE_LOG_OPEN = environment.boolean("GLASSCASE_LOG_OPEN", default=False)

# --- Commands in a person's name -------------------------------------------------------------------------------------
# Whether `--as USER` is allowed: with the embedded database whoever runs commands holds every key anyway.
GLASSCASE_ALLOW_AS = environment.boolean("GLASSCASE_ALLOW_AS", default=not GLASSCASE_DB_HOST)

# --- Searches ----------------------------------------------------------------------------------------------------------
# How long a submitted request may wait for counsel, approval and execution; the gate's own limit holds too.
# Backups of the key store are gone after so many days, and with them the last copies of destroyed keys.
GLASSCASE_KEY_BACKUP_DAYS = environment.integer("GLASSCASE_KEY_BACKUP_DAYS", 7, minimum=1, maximum=90)
GLASSCASE_REQUEST_HOURS = environment.integer("GLASSCASE_REQUEST_HOURS", 72, minimum=1, maximum=8760)

# --- Face models -----------------------------------------------------------------------------------------------------
# Folders with ONNX files, one a model, beside the embedded "dlib". A missing directory holds none.
GLASSCASE_MODELS_DIR = environment.path("GLASSCASE_MODELS_DIR", GLASSCASE_HOME / "models")

# Whether accredited testers may send photos of their own and get scores (RCW 43.386.040).
GLASSCASE_TESTING_API = environment.boolean("GLASSCASE_TESTING_API", default=False)

# --- People and sign-in ----------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ("username", "full_name", "badge_number")},
    },
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
CSRF_FAILURE_VIEW = "core.views.errors.csrf_failure"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
# A session ends with the browser: nobody is asked whether to stay signed in.
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_ADAPTER = "core.sign_in.AccountAdapter"
# Against floods of failed sign-ins, each of which is an entry of the log. Per web process; the lock-out below is shared.
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "30/m/ip,20/15m/key", "signup": "10/h/ip"}
MFA_ADAPTER = "core.sign_in.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Glasscase"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
# By account, whatever address or browser is used. By address as well would lock a whole station behind one router.
AXES_LOCKOUT_PARAMETERS = ["username"]
AXES_USERNAME_CALLABLE = "core.sign_in.lock_name"
AXES_LOCKOUT_CALLABLE = "core.sign_in.locked_out"
# Who signed in and out is in our own log; axes keeps the counts of failures, and of nobody the name.
AXES_DISABLE_ACCESS_LOG = True
AXES_SENSITIVE_PARAMETERS = ["login", "password", "next"]
SILENCED_SYSTEM_CHECKS = ["axes.W006"]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Whether anybody may make an account that reads reports on error rates, and nothing else.
GLASSCASE_AUDITOR_SIGNUP = environment.boolean("GLASSCASE_AUDITOR_SIGNUP", default=False)

# --- API -------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    # Tokens first: the first class decides that a missing sign-in is a 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "core.tokens.TokenAuthentication",
        "core.api.session.Session",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["core.access.ByRole"],
    "EXCEPTION_HANDLER": "core.api.errors.handle",
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.JSON"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Glasscase",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENUM_NAME_OVERRIDES": {
        "RequestState": "search.models.RequestState",
        "JobState": "core.models.JobState",
        "CaseStatus": "search.models.CaseStatus",
        "StepState": ["done", "now", "later", "stopped", "left_out"],
        "RunState": ["running", "published", "paused", "failed", "cancelled"],
        "MeasuredKind": "audit.models.BenchmarkSet.Kind",
        "EnrolmentKind": "search.models.Enrolment.Source",
        "LogState": ["good", "warn", "bad"],
        "OpenedState": ["fits", "differs", "erased", "elsewhere"],
        "ReviewState": "search.models.ReviewState",
        "ShareState": ["shown", "too_few", "undefined"],
        "FaceFeature": "search.vocabulary.FEATURE_CHOICES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "core.api.schema.add_problems",
    ],
}

# --- Jobs ------------------------------------------------------------------------------------------------------------
# Empty: the database is the broker (schema `broker`). Production: redis://… or amqp://….
DATABASE_BROKER_URL = "glasscase+postgresql+psycopg://"  # the transport of core.broker
CELERY_BROKER_URL = environment.secret("CELERY_BROKER_URL", DATABASE_BROKER_URL)
BROKER_IS_DATABASE = CELERY_BROKER_URL == DATABASE_BROKER_URL
# In the order in which a worker that serves several takes from them: people who wait come first.
GLASSCASE_QUEUES = ("search", "default", "enrolment", "evaluation")
# Of Redis alone: the transport of the database refuses what it does not know, and RabbitMQ has no such order.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"queue_order_strategy": "core.queue_order:AsDeclared"} if CELERY_BROKER_URL.startswith("redis") else {}
)
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_RESULT_EXTENDED = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = not BROKER_IS_DATABASE  # PostgreSQL as broker has no fanout
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
# name -> {"task": …, "schedule": seconds}; each app adds its own periodic tasks here.
CELERY_BEAT_SCHEDULE: dict[str, dict[str, object]] = {
    # A message that waits while all workers are busy is worth nothing: the next one does the same.
    "reconcile-jobs": {"task": "core.jobs.reconcile", "schedule": 5.0, "options": {"expires": 5}},
    "expire-requests": {"task": "search.expire_requests", "schedule": 60.0, "options": {"expires": 60}},
    "resume-searches": {"task": "search.resume_searches", "schedule": 60.0, "options": {"expires": 60}},
    "finish-erasures": {"task": "search.finish_erasures", "schedule": 300.0, "options": {"expires": 300}},
    "repeat-evaluations": {"task": "audit.repeat_evaluations", "schedule": 3600.0, "options": {"expires": 3600}},
    "build-codes": {"task": "search.build_codes", "schedule": 300.0, "options": {"expires": 300}},
    "erase-due": {"task": "search.erase_due", "schedule": 3600.0, "options": {"expires": 3600}},
    "seal-overdue": {"task": "search.seal_overdue", "schedule": 60.0, "options": {"expires": 60}},
}
# A running job without a sign of life for so long is given to another worker.
GLASSCASE_JOB_STALE_SECONDS = environment.integer("GLASSCASE_JOB_STALE_SECONDS", 20, minimum=2, maximum=3600)
if BROKER_IS_DATABASE:
    CELERY_BEAT_SCHEDULE["prune-broker"] = {"task": "core.prune_broker", "schedule": 600.0}
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"  # keeps no file: every task of ours may run once too often

# Touched by the sequencer, the signer and the notifier after each step, for health checks of containers.
GLASSCASE_HEARTBEAT_FILE = environment.text("GLASSCASE_HEARTBEAT_FILE", "")

# --- Mail to approvers, sent by the notifier -----------------------------------------------------------------------------
# Without a host, messages are files below GLASSCASE_HOME/outbox.
EMAIL_HOST = environment.text("GLASSCASE_MAIL_HOST", "")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'filebased'}.EmailBackend"
EMAIL_FILE_PATH = GLASSCASE_HOME / "outbox"
_MAIL_SECURITY = environment.text("GLASSCASE_MAIL_SECURITY", "starttls", choices=("starttls", "tls", "none"))
EMAIL_USE_TLS, EMAIL_USE_SSL = _MAIL_SECURITY == "starttls", _MAIL_SECURITY == "tls"
EMAIL_PORT = environment.integer("GLASSCASE_MAIL_PORT", 465 if EMAIL_USE_SSL else 587, minimum=1, maximum=65535)
EMAIL_HOST_USER = environment.text("GLASSCASE_MAIL_USER", "")
EMAIL_HOST_PASSWORD = environment.secret("GLASSCASE_MAIL_PASSWORD", "")
if EMAIL_HOST_PASSWORD and _MAIL_SECURITY == "none":
    raise environment.SettingError("GLASSCASE_MAIL_SECURITY is none, and the mail password would travel in clear.")
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = environment.text("GLASSCASE_MAIL_FROM", "glasscase@localhost")

# --- Process logs ----------------------------------------------------------------------------------------------------
LOGGING_CONFIG = "core.logs.configure"
LOGGING = logging_configuration(
    form=environment.text("GLASSCASE_LOG_FORMAT", "console", choices=("console", "json")),
    level=environment.text("GLASSCASE_LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR")),
)

# --- Secret key ------------------------------------------------------------------------------------------------------
# Last, so that a wrong setting above is reported before a file is made.
from core.state import kept_secret  # noqa: E402

SECRET_KEY = environment.secret("GLASSCASE_SECRET_KEY", "") or kept_secret(GLASSCASE_HOME / "secrets" / "secret_key")
