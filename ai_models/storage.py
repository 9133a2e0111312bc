"""Where generated videos are kept: ``STORAGES["ai_models"]``, or a private folder. No address leads there; views read them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import IO
from uuid import UUID

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage, storages

from ai_models.conf import conf
from ai_models.exceptions import NotReady

ALIAS = "ai_models"
PIECE_BYTES = 64 * 1024

logger = logging.getLogger(__name__)


def files() -> Storage:
    """The storage in force."""
    if ALIAS in settings.STORAGES:
        return storages[ALIAS]
    return FileSystemStorage(conf().files_folder, file_permissions_mode=0o600, directory_permissions_mode=0o700)


def save(job: UUID, content: IO[bytes]) -> str:
    """Keep a video of a job under a new name, and tell the name. It belongs to nobody until the job's row names it.

    Raises:
        NotReady: the storage does not take it.
    """
    try:
        return files().save(f"{job}/video", File(content))
    except Exception as error:  # whatever a storage raises
        logger.error("A file of video job %s could not be stored: %s", job, type(error).__name__)
        raise NotReady("The storage of generated files does not take a file.") from None


def read(name: str, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from ``start`` up to, not including, ``stop``, in pieces.

    Raises:
        FileNotFoundError: the file is gone.
        NotReady: the storage does not give it.
    """
    try:
        with files().open(name) as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(PIECE_BYTES, stop - start))):
                start += len(piece)
                yield piece
    except FileNotFoundError:
        raise
    except Exception as error:  # whatever a storage raises
        logger.error("The stored file %s could not be read: %s", name, type(error).__name__)
        raise NotReady("The storage of generated files does not give a file.") from None


def delete(job: UUID) -> bool:
    """Delete every file of a job, also those that its row does not name. Whether that succeeded; once more does no harm."""
    storage, folder = files(), str(job)
    try:
        for name in storage.listdir(folder)[1]:
            storage.delete(f"{folder}/{name}")
        storage.delete(folder)
    except FileNotFoundError:
        return True
    except Exception as error:  # whatever a storage raises, the next sweep tries again
        logger.warning("The files of video job %s could not be deleted: %s", job, type(error).__name__)
        return False
    return True
