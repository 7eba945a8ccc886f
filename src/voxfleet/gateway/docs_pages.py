"""The application itself, with pages that describe its API and load nothing from other hosts.

Knows no route of ours.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

#: where the pages' scripts and styles lie, which come with a package
DOCS_FILES = "/docs/files"
_TITLE = "voxfleet"


def bare_app(version: str, docs: bool) -> FastAPI:
    """Without `docs` neither the pages nor the document are served."""
    if not docs:
        return FastAPI(
            title=_TITLE,
            version=version,
            redirect_slashes=False,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
        )
    return FastAPIOffline(
        title=_TITLE,
        version=version,
        # a redirect would make a client send its upload twice
        redirect_slashes=False,
        static_url=DOCS_FILES,
        # else Swagger's page asks a host of its makers for a badge
        swagger_ui_parameters={"validatorUrl": None},
    )
