"""The host names that are played, by service; and the one under which the truth is asked."""

from __future__ import annotations

LINKEDIN = "www.linkedin.com"
LINKEDIN_STATIC = "static.licdn.com"
LINKEDIN_MEDIA = "media.licdn.com"
INTRANET = "people.intranet.example"

HOSTS = (LINKEDIN, LINKEDIN_STATIC, LINKEDIN_MEDIA, INTRANET)

TRUTH = "truth.rehearsal.invalid"
"""Never given to a browser: it cannot resolve this name, and a page cannot ask for the truth."""
