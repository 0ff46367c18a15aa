"""Migrate, create the users, and serve the site over TLS until standard input ends.

The first line of standard input is a JSON list of users, so that no password is on disk or in a command line.
The first line of standard output is the port. Ending with standard input leaves no server behind a killed test.
"""

import json
import os
import shutil
import socket
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import django
import uvicorn
from django.conf import settings
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application
from django.core.management import call_command


def migrate() -> None:
    """Migrate the site's database; all but the first start in an installation copy what that one has migrated."""
    database, kept = Path(settings.DATABASES["default"]["NAME"]), Path(sys.prefix) / "migrated.sqlite3"
    if kept.exists():
        shutil.copyfile(kept, database)
    call_command("migrate", verbosity=0)  # 7 s of CPU, and 0.1 s where nothing is left to migrate
    if not kept.exists():
        copy = kept.with_suffix(f".{os.getpid()}")
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("VACUUM INTO ?", (str(copy),))
        copy.replace(kept)


def create_users(users: list[dict[str, Any]]) -> None:
    """Create users as an administrator would: a group for their rights, and a profile with their preferences."""
    from django.contrib.auth.models import Group, User
    from django.db import transaction
    from wagtail.users.models import UserProfile

    with transaction.atomic():
        for wanted in users:
            user = User.objects.create_user(
                wanted["username"],
                wanted["email"],
                wanted["password"],
                first_name=wanted["first_name"],
                last_name=wanted["last_name"],
            )
            user.groups.add(Group.objects.get(name=wanted["group"]))
            UserProfile.objects.create(
                user=user,
                submitted_notifications=not wanted["opted_out"],
                preferred_language=wanted["language"],
            )


def main() -> None:
    """Prepare the site in WAGTAIL_FOLDER and serve it with the key and certificate of that folder."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "cms.settings"
    django.setup()
    migrate()
    create_users(json.loads(sys.stdin.readline()))

    folder = Path(settings.FOLDER)
    config = uvicorn.Config(
        # Serves static files from the installed packages, whatever DEBUG says.
        ASGIStaticFilesHandler(get_asgi_application()),
        ssl_keyfile=folder / "key.pem",
        ssl_certfile=str(folder / "cert.pem"),
        lifespan="off",
        timeout_graceful_shutdown=3,  # a browser keeps its connections open
        log_level="warning",
    )
    server = uvicorn.Server(config)

    def stop_with_stdin() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=stop_with_stdin, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
