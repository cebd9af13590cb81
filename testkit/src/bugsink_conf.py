"""Settings of a Bugsink for tests; Django finds them under this name in the working directory."""

import os

from bugsink.settings.default import *  # noqa: F401,F403

STATE = os.getcwd()
UNLIMITED = 1_000_000

SECRET_KEY = "for tests on the loopback interface only, never for anything else"
DATABASES["default"]["NAME"] = f"{STATE}/db.sqlite3"  # noqa: F405
DATABASES["snappea"]["NAME"] = f"{STATE}/snappea.sqlite3"  # noqa: F405
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
TIME_ZONE = "UTC"
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

# Work is done within the request: an event can be read back as soon as its POST is answered, and no worker is needed.
SNAPPEA = {"TASK_ALWAYS_EAGER": True}

BUGSINK = {
    "BASE_URL": f"http://127.0.0.1:{os.environ.get('BUGSINK_PORT', '0')}",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "USER_REGISTRATION": "CB_NOBODY",
    "PHONEHOME": False,
    "VALIDATE_ON_DIGEST": os.environ.get("BUGSINK_VALIDATE", "strict"),
    # The default is one directory for all instances of a machine.
    "INGEST_STORE_BASE_DIR": f"{STATE}/ingest",
    "MAX_EVENTS_PER_PROJECT_PER_5_MINUTES": int(os.environ.get("BUGSINK_QUOTA", UNLIMITED)),
    "MAX_EVENTS_PER_5_MINUTES": UNLIMITED,
    "MAX_EVENTS_PER_PROJECT_PER_HOUR": UNLIMITED,
    "MAX_EVENTS_PER_HOUR": UNLIMITED,
}
