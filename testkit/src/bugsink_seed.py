"""Makes the databases in the working directory: one user, a token for reading back, a few projects."""

import os
import sys
import uuid

import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "bugsink_conf"
sys.path.insert(0, os.getcwd())
django.setup()

user, password, token, *projects = sys.argv[1:]

call_command("migrate", verbosity=0)
call_command("migrate", verbosity=0, database="snappea")

from bsmain.models import AuthToken  # noqa: E402: models exist only after setup
from django.contrib.auth import get_user_model  # noqa: E402
from projects.models import Project  # noqa: E402
from teams.models import Team  # noqa: E402

get_user_model().objects.create_superuser(user, f"{user}@example.test", password)
team = Team.objects.create(name="tests")
for project in projects:
    name, key = project.split("=")
    Project.objects.create(name=name, team=team, sentry_key=uuid.UUID(key))
reader = AuthToken.create_full_access()
reader.token = token
reader.save()
