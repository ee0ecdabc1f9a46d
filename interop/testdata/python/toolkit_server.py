"""django-oauth-toolkit in one file, with a database of its own in the working directory. Its tokens are opaque.

Variables: PORT, SECRET (of the client api-by-secret). The client unbound has the secret "secret".
"""

import os
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

settings.configure(
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    MIGRATION_MODULES={app: None for app in ("auth", "contenttypes", "oauth2_provider")},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "toolkit.sqlite"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # of secrets, at each request
    OAUTH2_PROVIDER={"SCOPES": {"orders.read": "Read orders", "introspection": "Ask about tokens"}},
)
django.setup()

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]

if __name__ == "__main__":
    # Django imports this file again for its URLs, under this name.
    sys.modules[settings.ROOT_URLCONF] = sys.modules["__main__"]
    from oauth2_provider.models import Application

    call_command("migrate", run_syncdb=True, verbosity=0)
    for name, secret in (("unbound", "secret"), ("api-by-secret", os.environ["SECRET"])):
        Application.objects.create(
            name=name, client_id=name, client_secret=secret,
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
        )
    call_command("runserver", "127.0.0.1:" + os.environ["PORT"], "--noreload")
