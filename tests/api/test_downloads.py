"""What ``Accept`` asks for."""

from __future__ import annotations

import time

import pytest

from ai_models.api.downloads import Accept, chosen, require_one
from ai_models.exceptions import InvalidRequest
from ai_models.types import GeneratedFile

PNG = GeneratedFile(bytes=b"png", media_type="image/png")


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("*/*", False),
        ("", False),
        ("nonsense", False),
        ("application/json", False),
        ("text/html", False),
        ("audio/*", False),
        ("image/png", True),
        ("IMAGE/PNG", True),
        ("image/*", True),
        ("application/octet-stream", True),
        # JSON wins where it is wanted as much.
        ("image/png, application/json", False),
        ("image/png, */*", False),
        ("image/png, application/*", False),
        ("application/json;q=0.5, image/png;q=0.5", False),
        ("application/json;q=0.5, image/png;q=0.4", False),
        ("image/png;q=0.9, application/json;q=0.8", True),
        ("image/png, */*;q=0.1", True),
        ("image/*;q=0.3,*/*;q=0.2", True),
        ("application/octet-stream;q=0.2, application/json; q=0.1", True),
        # The most specific range counts, whatever its place.
        ("*/*, application/json;q=0.1, image/png;q=0.2", True),
        ("image/*, image/png;q=0.1, application/json;q=0.5", False),
        ("image/png;q=0, image/*, application/json;q=0.1", False),
        ("application/*;q=0.9, image/png;q=0.5, application/json;q=0.4", True),
        # Qualities as they come.
        ("image/png ; q = 0.7 , application/json;Q=0.6", True),
        ("image/png;q=0", False),
        ("image/png;q=0.0, application/json;q=0", False),
        ("image/png;q=.5, application/json;q=0.4", True),
        ("image/png;q=much, application/json;q=0.9", True),
        ("image/png;q=7, application/json", False),
        ("image/png;q=NaN, application/json;q=0.9", True),
        ("image/png;level=1;q=0.2, application/json;q=0.3", False),
        ('image/png;x="a,b";q=0.2, application/json;q=0.1', True),
        # Another type than what the model made: JSON where it will do, else the bytes all the same.
        ("image/webp", True),
        ("image/webp, application/json;q=0.1", False),
        ("image/webp, image/png;q=0.5, application/json;q=0.1", True),
        ("text/html, image/avif, image/webp, */*;q=0.8", False),
        ("image/webp;q=0", False),
    ],
)  # fmt: skip
def test_what_is_sent(header: str, wanted: bool) -> None:
    assert (chosen(Accept(header), "image", [PNG]) is PNG) == wanted


def test_a_type_is_wanted_whatever_its_parameters() -> None:
    sound = GeneratedFile(bytes=b"\0\0", media_type="audio/L16; rate=24000")
    assert chosen(Accept("audio/l16, application/json;q=0.5"), "audio", [sound]) is sound


@pytest.mark.parametrize("files", [[], [PNG, PNG]])
def test_bytes_are_those_of_one_file(files: list[GeneratedFile]) -> None:
    assert chosen(Accept("image/png"), "image", files) is None


@pytest.mark.parametrize(
    ("header", "refused"), [("image/png", True), ("image/*, application/json;q=0.1", False), ("*/*", False)]
)
def test_several_files_need_json(header: str, refused: bool) -> None:
    require_one(Accept(header), "image", 1)
    if refused:
        with pytest.raises(InvalidRequest, match=r"^n: .*application/json"):
            require_one(Accept(header), "image", 2)
    else:
        require_one(Accept(header), "image", 2)


def test_a_long_header_costs_little() -> None:
    """Each takes under a millisecond; what grows with the square of the length takes seconds."""
    began = time.process_time()
    assert not chosen(Accept("image/" * 10_000 + ";q=" * 10_000), "image", [PNG])
    assert not chosen(Accept("a/b;" + " ;" * 30_000), "image", [PNG])
    assert not chosen(Accept("a/b;" + ";q=1" * 30_000), "image", [PNG])
    assert not chosen(Accept('"' + "\\\\," * 30_000), "image", [PNG])
    assert time.process_time() - began < 1
