"""Files of a folder or archive, read within limits; nothing is ever unpacked by its own path."""

import io
import os
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from squeezect.errors import ReadingError
from squeezect.reading import codes
from squeezect.reading.names import printable, shown_name

SMALL_BYTES = 16 << 20
"""Up to this size nothing can swell dangerously, whatever its ratio."""
HEAD_BYTES = 256 << 10
"""As much of an archive's member is unpacked to look at its header."""

_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,  # encrypted
    NotImplementedError,  # odd compression
    OSError,  # damaged bzip2
    ValueError,
    LookupError,
    OverflowError,
)


@dataclass(frozen=True)
class Limits:
    """What reading takes on; a thousand slices of 1024 x 1024 pass.

    Args:
        files: in a folder or archive.
        depth: of folders.
        file_bytes: of one file, unpacked.
        total_bytes: of all files, unpacked.
        ratio: of unpacked to packed size, for files above 16 MiB.
        voxels: of one volume.
        seconds: for one call; looked at between files.
    """

    files: int = 50_000
    depth: int = 24
    file_bytes: int = 4 << 30
    total_bytes: int = 64 << 30
    ratio: int = 200
    voxels: int = 1_600_000_000
    seconds: float = 900.0

    def swells(self, packed: int, unpacked: int) -> bool:
        """Whether unpacking would take more room than any honest file."""
        return self.inflates(packed, unpacked) or unpacked > self.file_bytes

    def inflates(self, packed: int, unpacked: int) -> bool:
        """Whether so few bytes cannot honestly hold so many."""
        return unpacked > max(SMALL_BYTES, self.ratio * packed)


LIMITS = Limits()


@dataclass(frozen=True)
class Deadline:
    """When a call has to be done.

    Args:
        limits: how long it may take.
        started: reading of the monotonic clock.
    """

    limits: Limits
    started: float = field(default_factory=time.monotonic)

    def check(self, where: str) -> None:
        """Give up if time is over.

        Raises:
            ReadingError: `too-slow`.
        """
        if time.monotonic() - self.started > self.limits.seconds:
            raise ReadingError(
                codes.TOO_SLOW, f"not done after {self.limits.seconds:.0f} s, at {where}"
            )


@dataclass(frozen=True, eq=False)
class Source:
    """One file, on disk or in an archive.

    Args:
        name: path relative to what the user named.
        size: in bytes, unpacked.
        path: on disk; of the archive if it is a member of one.
        archive: open archive that it is a member of.
        member: which member.
        named: whether messages may show its name as it is.
    """

    name: str
    size: int
    path: Path
    archive: zipfile.ZipFile | None = None
    member: zipfile.ZipInfo | None = None
    named: bool = False

    @property
    def label(self) -> str:
        """Its name in messages and results, where a patient's name must not show."""
        return printable(self.name) if self.named else shown_name(self.name)

    @property
    def packed(self) -> int:
        """The bytes that it takes on disk."""
        return self.size if self.member is None else self.member.compress_size

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's bytes, seekable.

        Raises:
            ReadingError: `unreadable-file` or `unsafe-archive`.
        """
        if self.member is not None:
            with io.BytesIO(self.read()) as memory:
                yield memory
            return
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise ReadingError(codes.UNREADABLE, f"{self.label}: {error.strerror}") from error
        with file:
            yield file

    def head(self, size: int = HEAD_BYTES) -> bytes:
        """The first bytes.

        Raises:
            ReadingError: `unreadable-file` or `unsafe-archive`.
        """
        if self.member is not None:
            return self._unpack(size)
        with self.open() as file:
            return file.read(size)

    def read(self) -> bytes:
        """All of the file's bytes.

        Raises:
            ReadingError: `unreadable-file` or `unsafe-archive`.
        """
        if self.member is None:
            with self.open() as file:
                return file.read(self.size)
        # One byte more than declared: a member that lies about its size is caught.
        data = self._unpack(self.size + 1)
        if len(data) != self.size:
            raise ReadingError(codes.UNSAFE_ARCHIVE, f"{self.label} is not as large as declared")
        return data

    def _unpack(self, size: int) -> bytes:
        if self.archive is None or self.member is None:
            raise ReadingError(codes.UNSAFE_ARCHIVE, f"{self.label} has no archive")
        try:
            with self.archive.open(self.member) as file:
                return file.read(size)
        except _ZIP_ERRORS as error:
            what = f"{self.label} cannot be unpacked ({type(error).__name__})"
            raise ReadingError(codes.UNSAFE_ARCHIVE, what) from error


@contextmanager
def open_sources(path: Path, limits: Limits = LIMITS) -> Iterator[list[Source]]:
    """All files of a folder tree or zip, or the one file, sorted by name.

    Args:
        path: folder, zip, or file.
        limits: what to take on.

    Yields:
        The files; those of a zip can be read until the context ends.

    Raises:
        ReadingError: `no-such-path`, `no-files`, `not-an-image`, `unreadable-file`, `too-large`
            or `unsafe-archive`.
    """
    if not path.exists():
        raise ReadingError(codes.NO_SUCH_PATH, f"no file or folder {path}")
    if path.is_dir():
        yield _checked(list(_walk(path, limits)), path, limits)
        return
    if not path.is_file():
        raise ReadingError(codes.NOT_AN_IMAGE, f"{path.name} is a device or pipe, not a file")
    single = Source(path.name, path.stat().st_size, path)
    start = single.head(132)
    if start[128:132] == b"DICM" or not zipfile.is_zipfile(path):
        yield _checked([single], path, limits)
        return
    try:
        archive = zipfile.ZipFile(path)
    except _ZIP_ERRORS as error:
        what = f"{path.name} is no sound zip ({type(error).__name__})"
        raise ReadingError(codes.UNSAFE_ARCHIVE, what) from error
    with archive:
        yield _checked(list(_members(archive, path, limits)), path, limits)


def _checked(found: list[Source], path: Path, limits: Limits) -> list[Source]:
    if not found:
        raise ReadingError(codes.NO_FILES, f"{path.name or path} holds no files")
    total = sum(source.size for source in found)
    if total > limits.total_bytes:
        raise ReadingError(codes.TOO_LARGE, f"{path.name} holds {total / 2**30:.1f} GiB")
    return sorted(found, key=lambda source: source.name)


def _walk(folder: Path, limits: Limits) -> Iterator[Source]:
    count = 0
    # Links to folders are not followed: they can loop, or lead out of what the user named.
    for root, folders, files in os.walk(folder, followlinks=False):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        if folders and len(here.relative_to(folder).parts) >= limits.depth:
            what = f"{folder.name} is nested more than {limits.depth} folders deep"
            raise ReadingError(codes.TOO_LARGE, what)
        for name in files:
            file = here / name
            if name.startswith(".") or not file.is_file():
                continue
            count += 1
            if count > limits.files:
                what = f"{folder.name} holds over {limits.files} files"
                raise ReadingError(codes.TOO_LARGE, what)
            yield Source(file.relative_to(folder).as_posix(), file.stat().st_size, file)


def _members(archive: zipfile.ZipFile, path: Path, limits: Limits) -> Iterator[Source]:
    members = archive.infolist()
    if len(members) > limits.files:
        raise ReadingError(codes.TOO_LARGE, f"{path.name} holds {len(members)} files")
    for member in members:
        base = member.filename.rsplit("/", 1)[-1]
        link = stat.S_ISLNK(member.external_attr >> 16)
        if member.is_dir() or link or base.startswith(".") or "__MACOSX" in member.filename:
            continue
        if member.flag_bits & 1:
            raise ReadingError(codes.UNSAFE_ARCHIVE, f"{path.name} is encrypted")
        if limits.swells(member.compress_size, member.file_size):
            what = f"{base} swells from {member.compress_size} to {member.file_size} bytes"
            raise ReadingError(codes.UNSAFE_ARCHIVE, f"{path.name}: member {what}")
        # The name is only shown and compared, never used as a path.
        yield Source(member.filename, member.file_size, path, archive, member)
