"""Embeddings, images, speech, transcriptions and the list of models, on the wire."""

from __future__ import annotations

import base64
import json
import struct
import time
from dataclasses import replace
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from ai_models.types import TranscriptionResult, Usage
from tests import samples
from tests.api.conftest import MakeUser, bearer
from tests.api.scripted import Scripted
from tests.openai_api.actor import TRANSCRIPT, VECTORS, Actor
from tests.openai_api.conftest import Facade, error_of


def answer(facade: Facade, path: str, **fields: Any) -> Any:
    response = facade.post(path, {"model": "stage/lead", **fields})
    assert response.status_code == 200, response.content
    return response.json()


def refused(response: Any) -> tuple[str, str]:
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (400, "invalid_request", "invalid_request_error")
    assert not Actor.requests
    return error["param"], error["message"]


# --- embeddings -------------------------------------------------------------------------------------------------------


def test_vectors_have_exactly_openais_shape(facade: Facade) -> None:
    assert answer(facade, "embeddings", input=["a", "b", "c"], dimensions=3, user="ada") == {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": VECTORS[index % 2]} for index in range(3)],
        "model": "stage/lead",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    assert (Actor.requests[0]["values"], Actor.requests[0]["dimensions"]) == (["a", "b", "c"], 3)


def test_one_text_gives_a_list_of_one(facade: Facade) -> None:
    told = answer(facade, "embeddings", input="a", encoding_format="float")["data"]
    assert told == [{"object": "embedding", "index": 0, "embedding": VECTORS[0]}]


def test_vectors_in_base64_are_the_same_bits(facade: Facade) -> None:
    told = answer(facade, "embeddings", input=["a", "b"], encoding_format="base64")["data"]
    assert [base64.b64decode(item["embedding"]) for item in told] == [struct.pack("<3f", *vector) for vector in VECTORS]


def test_many_vectors_come_in_order(facade: Facade) -> None:
    told = answer(facade, "embeddings", input=[str(number) for number in range(1, 101)])["data"]
    assert [(item["index"], item["embedding"]) for item in told] == [(index, VECTORS[index % 2]) for index in range(100)]


def test_an_unknown_cost_is_null(facade: Facade) -> None:
    Actor.tokens = None
    assert answer(facade, "embeddings", input="a")["usage"] is None


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({}, "input", "required"),
        ({"input": [1, 2, 3]}, "input", "send text"),
        ({"input": [[1, 2], [3]]}, "input", "send text"),
        ({"input": []}, "input", "at least 1"),
        ({"input": ""}, "input[0]", "at least 1 character"),
        ({"input": ["a", ""]}, "input[1]", "at least 1 character"),
        ({"input": {"a": 1}}, "input", "string"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "'float' or 'base64'"),
        ({"input": "a", "dimensions": 0}, "dimensions", "greater than 0"),
        ({"input": "a", "colour": "red"}, "colour", "does not exist"),
    ],
)
def test_what_cannot_be_embedded_is_refused(facade: Facade, fields: dict[str, Any], param: str, told: str) -> None:
    named, message = refused(facade.post("embeddings", {"model": "stage/lead", **fields}))
    assert (named, told in message) == (param, True), message


# --- images -----------------------------------------------------------------------------------------------------------


def test_images_have_exactly_openais_shape(facade: Facade) -> None:
    told = answer(facade, "images/generations", prompt="A cat", n=2, size="64x32", quality="high", user="ada")
    assert abs(told.pop("created") - time.time()) < 60
    image = {"b64_json": base64.b64encode(samples.PNG).decode()}
    assert told == {
        "data": [image, image],
        "output_format": "png",
        "usage": {"input_tokens": 9, "output_tokens": 90, "total_tokens": 99, "input_tokens_details": None},
    }
    request = Actor.requests[0]
    assert (request["prompt"], request["n"], request["size"]) == ("A cat", 2, "64x32")
    assert request["provider_options"] == {"actor": {"quality": "high"}}


def test_unsupported_settings_of_images_are_reported(facade: Facade) -> None:
    fields = {"style": "vivid", "background": "transparent", "output_compression": 50, "moderation": "low", "seed": 4}
    told = answer(facade, "images/generations", prompt="A cat", response_format="b64_json", **fields)
    assert [warning["setting"] for warning in told["warnings"]] == [
        "background", "moderation", "output_compression", "style", "seed",
    ]  # fmt: skip


def test_settings_of_images_that_say_nothing_are_not_told(facade: Facade) -> None:
    nothing = {"size": "auto", "quality": "auto", "background": "auto", "moderation": "auto", "partial_images": 0}
    assert "warnings" not in answer(facade, "images/generations", prompt="A cat", stream=False, n=None, **nothing)
    assert Actor.requests[0].keys() == {"provider", "model", "prompt", "n"}


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"response_format": "url"}, "response_format", "b64_json"),
        ({"stream": True}, "stream", "not streamed"),
        ({"partial_images": 2}, "partial_images", "not streamed"),
        ({"n": 11}, "n", "less than or equal to 10"),
        ({"size": "large"}, "size", "1024x1024"),
        ({"prompt": ""}, "prompt", "at least 1 character"),
        ({"prompt": None}, "prompt", "required"),
        ({"model": None}, "model", "required"),
        ({"image": "a"}, "image", "does not exist"),
    ],
)
def test_what_cannot_be_painted_is_refused(facade: Facade, fields: dict[str, Any], param: str, told: str) -> None:
    named, message = refused(facade.post("images/generations", {"model": "stage/lead", "prompt": "A cat", **fields}))
    assert (named, told in message) == (param, True), message


# --- speech -----------------------------------------------------------------------------------------------------------


def test_speech_is_the_sound_itself(facade: Facade) -> None:
    fields = {"voice": "alloy", "speed": 1.5, "instructions": "Whisper.", "stream_format": "audio"}
    response = facade.post("audio/speech", {"model": "stage/lead", "input": "Good morning", **fields})
    assert response.status_code == 200
    assert response.content == samples.MP3
    assert response["Content-Type"] == "audio/mpeg"
    assert response["Content-Disposition"] == 'attachment; filename="audio.mp3"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert (response["X-AI-Provider"], response["X-AI-Model"]) == ("stage", "lead")
    assert "X-AI-Warnings" not in response
    request = Actor.requests[0]
    assert {name: request[name] for name in ("text", "voice", "speed", "instructions")} == {
        "text": "Good morning", "voice": "alloy", "speed": 1.5, "instructions": "Whisper.",
    }  # fmt: skip


def test_warnings_about_speech_are_in_a_header(facade: Facade) -> None:
    response = facade.post("audio/speech", {"model": "stage/lead", "input": "Hi", "response_format": "opus"})
    (warning,) = json.loads(response["X-AI-Warnings"])
    assert warning == {
        "type": "unsupported",
        "setting": "response_format",
        "message": "The model does not support response_format; it was left out.",
    }


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"stream_format": "sse"}, "stream_format", "the sound itself"),
        ({"input": ""}, "input", "at least 1 character"),
        ({"input": None}, "input", "required"),
        ({"speed": 9}, "speed", "less than or equal to 4"),
        ({"response_format": "MP3!"}, "response_format", "mp3 or wav"),
        ({"voice": {"id": "voice_1"}}, "voice", "string"),
    ],
)
def test_what_cannot_be_spoken_is_refused(facade: Facade, fields: dict[str, Any], param: str, told: str) -> None:
    named, message = refused(facade.post("audio/speech", {"model": "stage/lead", "input": "Hi", **fields}))
    assert (named, told in message) == (param, True), message


# --- transcriptions ---------------------------------------------------------------------------------------------------


def transcribe(facade: Facade, **fields: Any) -> Any:
    recording = SimpleUploadedFile("speech.wav", samples.WAV, "application/octet-stream")
    return facade.form("audio/transcriptions", {"model": "stage/lead", "file": recording, **fields})


def test_a_recording_may_come_in_json(facade: Facade) -> None:
    assert answer(facade, "audio/transcriptions", file=base64.b64encode(samples.WAV).decode())["text"]
    assert Actor.requests[0]["audio"] == samples.WAV


USAGE = {"type": "tokens", "input_tokens": 20, "output_tokens": 5, "total_tokens": 25}


@pytest.mark.parametrize("fields", [{}, {"response_format": "json"}])
def test_a_transcript_is_json_by_default(facade: Facade, fields: dict[str, str]) -> None:
    response = transcribe(facade, **fields)
    assert response["Content-Type"] == "application/json"
    assert response.json() == {"text": "Good morning. Good night.", "usage": USAGE}
    assert Actor.requests[0]["audio"] == samples.WAV


def test_a_verbose_transcript_has_times(facade: Facade) -> None:
    told = transcribe(facade, response_format="verbose_json", **{"timestamp_granularities[]": "segment"}).json()
    unknown = dict.fromkeys(("seek", "tokens", "temperature", "avg_logprob", "compression_ratio", "no_speech_prob"))
    assert told == {
        "task": "transcribe",
        "language": "en",
        "duration": 3663.0,
        "text": "Good morning. Good night.",
        "segments": [
            {"id": 0, "start": 0.0, "end": 1.5, "text": " Good morning.", **unknown},
            {"id": 1, "start": 3661.0049, "end": 3662.9996, "text": " Good --> night.\n\n", **unknown},
        ],
        "usage": USAGE,
    }


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("text", "Good morning. Good night.\n"),
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:01,500\nGood morning.\n\n2\n01:01:01,005 --> 01:01:03,000\nGood -> night.\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nGood morning.\n\n01:01:01.005 --> 01:01:03.000\nGood -> night.\n\n",
        ),
    ],
)
def test_a_transcript_may_be_text(facade: Facade, wanted: str, told: str) -> None:
    response = transcribe(facade, response_format=wanted)
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["X-AI-Provider"] == "stage"
    assert response.content.decode() == told


@pytest.mark.parametrize(("wanted", "told"), [("srt", ""), ("vtt", "WEBVTT\n\n")])
def test_silence_has_no_cues(facade: Facade, wanted: str, told: str) -> None:
    Actor.transcript = TranscriptionResult(text="")
    assert transcribe(facade, response_format=wanted).content.decode() == told


def test_a_transcript_without_segments_is_one_cue(facade: Facade) -> None:
    Actor.transcript = replace(TRANSCRIPT, segments=())
    told = transcribe(facade, response_format="srt").content.decode()
    assert told == "1\n00:00:00,000 --> 01:01:03,000\nGood morning. Good night.\n\n"


@pytest.mark.parametrize("wanted", ["srt", "vtt"])
def test_cues_need_times(facade: Facade, wanted: str) -> None:
    Actor.transcript = replace(TRANSCRIPT, segments=(), duration_in_seconds=None)
    response = transcribe(facade, response_format=wanted)
    error = error_of(response)
    assert (response.status_code, error["code"], error["param"]) == (422, "unsupported_functionality", "response_format")


def test_what_a_provider_does_not_tell_is_null(facade: Facade) -> None:
    Actor.transcript = TranscriptionResult(text="Hi", usage=Usage())
    told = transcribe(facade, response_format="verbose_json").json()
    assert told == {"task": "transcribe", "language": None, "duration": None, "text": "Hi", "segments": []}


def test_settings_of_a_transcript_reach_the_family(facade: Facade) -> None:
    transcribe(facade, language="en", prompt="Names: Ada", temperature="0.5", stream="false")
    assert Actor.requests[0]["language"] == "en"
    assert Actor.requests[0]["provider_options"] == {"actor": {"prompt": "Names: Ada", "temperature": 0.5}}


def test_settings_of_a_transcript_that_say_nothing_are_not_told(facade: Facade) -> None:
    response = transcribe(facade, language="", prompt="", temperature="0")
    assert "warnings" not in response.json()
    assert Actor.requests[0].keys() == {"provider", "model", "audio", "media_type"}


def test_unsupported_settings_of_a_transcript_are_reported(facade: Facade) -> None:
    fields = {"chunking_strategy": '{"type": "server_vad"}', "keywords[]": ["Ada", "Babbage"]}
    told = transcribe(facade, response_format="verbose_json", **fields).json()
    assert [warning["setting"] for warning in told["warnings"]] == ["chunking_strategy", "keywords"]
    plain = transcribe(facade, response_format="text", **fields)
    assert [warning["setting"] for warning in json.loads(plain["X-AI-Warnings"])] == ["chunking_strategy", "keywords"]


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"response_format": "diarized_json"}, "response_format", "'verbose_json'"),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities", "not those of words"),
        ({"include[]": "logprobs"}, "include", "not told"),
        ({"known_speaker_names[]": ["a", "b"]}, "known_speaker_names", "told apart"),
        ({"stream": "true"}, "stream", "not streamed"),
        ({"file": "this is no base64!"}, "file", "base64"),
        ({"file": SimpleUploadedFile("a.wav", samples.TEXT)}, "file", "none of audio/wav"),
        ({"model": ["a", "b"]}, "model", "more than once"),
        ({"colour": "red"}, "colour", "does not exist"),
    ],
)
def test_what_cannot_be_heard_is_refused(facade: Facade, fields: dict[str, Any], param: str, told: str) -> None:
    named, message = refused(transcribe(facade, **fields))
    assert (named, told in message) == (param, True), message


@pytest.mark.parametrize(("missing", "field"), [({"model": "stage/lead"}, "file"), ({"file": "UklGRg=="}, "model")])
def test_a_recording_and_a_model_are_required(facade: Facade, missing: dict[str, str], field: str) -> None:
    assert refused(facade.form("audio/transcriptions", missing)) == (field, f"{field}: field required")


# --- models -----------------------------------------------------------------------------------------------------------


def test_models_are_listed_once_with_all_that_they_do(facade: Facade) -> None:
    response = facade.get("models")
    told = response.json()
    assert response["Content-Type"] == "application/json"
    assert told["object"] == "list"
    names = [model["id"] for model in told["data"]]
    assert names == ["main/echoes", "main/slow", "main/vectors", "stage/lead", "stage/star"]
    assert told["data"][2] == {
        "id": "main/vectors",
        "object": "model",
        "created": 0,
        "owned_by": "main",
        "capabilities": ["embeddings"],
    }
    assert {"text-generation", "embeddings", "transcription"} <= set(told["data"][3]["capabilities"])


@pytest.mark.parametrize(
    ("address", "name", "owner"),
    [
        ("stage/star", "stage/star", "stage"),
        ("stage%2Fstar", "stage/star", "stage"),
        ("main/echoes", "main/echoes", "main"),
        ("echoes", "echoes", "main"),
        ("slow", "slow", "main"),
    ],
)
def test_a_model_is_found_by_every_name_that_a_call_may_use(facade: Facade, address: str, name: str, owner: str) -> None:
    response = facade.get(f"models/{address}")
    assert response.status_code == 200
    assert (response.json()["id"], response.json()["owned_by"]) == (name, owner)


@pytest.mark.parametrize("name", ["star", "stage/nobody", "nobody/lead", "stage/", "stage//lead"])
def test_a_model_that_is_not_configured_is_not_found(facade: Facade, name: str) -> None:
    response = facade.get(f"models/{name}")
    error = error_of(response)
    assert (response.status_code, error["code"], error["type"]) == (404, "model_not_found", "not_found_error")
    assert error["param"] == "model"


def test_only_models_that_the_user_may_use_are_listed(facade: Facade, make_user: MakeUser) -> None:
    facade.headers = bearer(make_user("eve", "use_embeddings"))
    assert [model["id"] for model in facade.get("models").json()["data"]] == ["main/vectors", "stage/lead"]
    assert facade.get("models/main/echoes").status_code == 404
    facade.headers = bearer(make_user("mallory"))
    assert error_of(facade.get("models"))["type"] == "permission_error"
    assert not Scripted.requests
