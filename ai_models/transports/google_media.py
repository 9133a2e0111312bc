"""Between our types and the Gemini API's format of images, sound and videos. No input or output happens here.

https://ai.google.dev/gemini-api/docs/imagen, .../image-generation, .../speech-generation, .../video
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ai_models import media
from ai_models.exceptions import AIModelsError, ContentPolicyViolation, InvalidRequest, UpstreamInvalidResponse
from ai_models.transports import chat_answers, encoded, faults, google_words, sound
from ai_models.types import (
    GeneratedFile,
    ImageResult,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseInfo,
    SpeechResult,
    Usage,
    VideoOperation,
    Warning,
)

if TYPE_CHECKING:
    from ai_models.types import ImageRequest, SpeechRequest, VideoRequest

VOICE = "Kore"
"""Who speaks when nobody is named; the API takes no request without a voice."""

# The API names the shorter side, and the shape apart from it.
_RESOLUTIONS = {
    "1280x720": ("720p", "16:9"), "720x1280": ("720p", "9:16"),
    "1920x1080": ("1080p", "16:9"), "1080x1920": ("1080p", "9:16"),
    "3840x2160": ("4k", "16:9"), "2160x3840": ("4k", "9:16"),
}  # fmt: skip
_SAMPLES = re.compile(r"audio/(?:l16|pcm)\b", re.IGNORECASE)
_RATE = re.compile(r"\brate=([1-9]\d{3,5})\b", re.IGNORECASE)
_USUAL_RATE = 24_000
_OPERATION = re.compile(r"(?:models/[A-Za-z0-9][A-Za-z0-9._-]{0,127}/)?operations/[A-Za-z0-9_-]{1,256}")


# --- from a request to a body ---------------------------------------------------------------------------------------


def prediction_of_images(request: ImageRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Imagen's body. It says why an image was withheld only when it is asked to."""
    parameters: dict[str, Any] = {"sampleCount": request["n"], "includeRaiReason": True, **options}
    if "aspect_ratio" in request:
        parameters["aspectRatio"] = request["aspect_ratio"]
    return {"instances": [{"prompt": request["prompt"]}], "parameters": parameters}


def generation_of_images(request: ImageRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a Gemini model that draws, or redraws the given images."""
    config: dict[str, Any] = {"responseModalities": ["IMAGE"]}
    if "seed" in request:
        config["seed"] = request["seed"]
    shape = {**options, **({"aspectRatio": request["aspect_ratio"]} if "aspect_ratio" in request else {})}
    if shape:
        config["imageConfig"] = shape
    given = request.get("images", ())
    images = [{"inlineData": {"mimeType": media.media_type(data), "data": encoded.base64_text(data)}} for data in given]
    return {"contents": [{"role": "user", "parts": [{"text": request["prompt"]}, *images]}], "generationConfig": config}


def generation_of_speech(request: SpeechRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a Gemini model that speaks. How to speak stands before the text: ``Say cheerfully: Hello!``"""
    text = request["text"]
    if "instructions" in request:
        text = f"{request['instructions'].rstrip(' .:')}: {text}"
    speech: dict[str, Any] = {**options}
    if "multiSpeakerVoiceConfig" not in speech:
        speech["voiceConfig"] = {"prebuiltVoiceConfig": {"voiceName": request.get("voice", VOICE)}}
    if "language" in request:
        speech["languageCode"] = request["language"]
    return {
        "contents": [{"role": "user", "parts": [{"text": text}]}],
        "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
    }


def prediction_of_videos(request: VideoRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """Veo's body.

    Raises:
        InvalidRequest: a setting has a value that the API has no word for.
    """
    instance: dict[str, Any] = {"prompt": request["prompt"]}
    if "image" in request:
        image = request["image"]
        instance["image"] = {"bytesBase64Encoded": encoded.base64_text(image), "mimeType": media.media_type(image)}
    return {"instances": [instance], "parameters": {**options, **_video_parameters(request)}}


def _video_parameters(request: VideoRequest) -> dict[str, Any]:
    parameters: dict[str, Any] = {"seed": request["seed"]} if "seed" in request else {}
    if request.get("n", 1) > 1:  # models that only make one refuse the count
        parameters["sampleCount"] = request["n"]
    if "duration" in request:
        if request["duration"] != int(request["duration"]):
            raise InvalidRequest("duration: Google's models make videos of whole seconds")
        parameters["durationSeconds"] = int(request["duration"])
    if "resolution" in request:
        if request["resolution"] not in _RESOLUTIONS:
            raise InvalidRequest(f"resolution: Google's models take {', '.join(_RESOLUTIONS)}")
        parameters["resolution"], parameters["aspectRatio"] = _RESOLUTIONS[request["resolution"]]
    if "aspect_ratio" in request:
        shape = parameters.setdefault("aspectRatio", request["aspect_ratio"])
        if shape != request["aspect_ratio"]:
            raise InvalidRequest(f"aspect_ratio: a resolution of {request['resolution']} is {shape}")
    return parameters


# --- from an answer to a result -------------------------------------------------------------------------------------


def predicted_images(payload: Mapping[str, Any]) -> ImageResult:
    """Imagen's images.

    Raises:
        ContentPolicyViolation: all of them were withheld.
        UpstreamInvalidResponse: there is none, or something that is none.
    """
    predictions = list(_mappings(payload.get("predictions")))
    images = tuple(encoded.image(item["bytesBase64Encoded"]) for item in predictions if item.get("bytesBase64Encoded"))
    withheld = sum(1 for item in predictions if item.get("raiFilteredReason"))
    if not images:
        raise _refused() if withheld else _imageless()
    return ImageResult(images=images, warnings=_withheld(withheld, "image"))


def generated_images(payload: Mapping[str, Any]) -> ImageResult:
    """The images of a Gemini model, without the drafts that it thinks with.

    Raises:
        ContentPolicyViolation: the prompt or the images were refused.
        UpstreamInvalidResponse: there is none, or something that is none.
    """
    images = tuple(encoded.image(inline.get("data")) for inline in _inline(payload))
    if not images:
        raise _refused() if _is_refused(payload) else _imageless()
    return ImageResult(images=images, usage=usage(payload.get("usageMetadata")), response=_response(payload))


def speech(payload: Mapping[str, Any], *, wav: bool) -> SpeechResult:
    """Sound. The API sends raw samples: 16 bits, little-endian, of one channel.

    Args:
        wav: put them into a WAV file, which says so.

    Raises:
        ContentPolicyViolation: the text was refused.
        UpstreamInvalidResponse: there is no sound.
    """
    inline = next(_inline(payload), None)
    if inline is None:
        raise _refused() if _is_refused(payload) else _soundless()
    data, declared = encoded.data(inline.get("data"), "sound"), str(inline.get("mimeType", ""))
    if not data:
        raise _soundless()
    if not _SAMPLES.match(declared):  # not what the API documents; samples have no signature, so they come first
        found = media.media_type(data) or ""
        if not found.startswith("audio/"):
            raise _soundless()
        return SpeechResult(audio=GeneratedFile(bytes=data, media_type=found), response=_response(payload))
    told = _RATE.search(declared)
    rate = int(told[1]) if told else _USUAL_RATE
    audio, kind = (sound.wav(data, rate), "audio/wav") if wav else (data, "audio/pcm")
    return SpeechResult(
        audio=GeneratedFile(bytes=audio, media_type=kind),
        response=_response(payload),
        provider_metadata={"google": {"sample_rate": rate}},
    )


def usage(reported: object) -> Usage:
    """Token counts of what is not text; what is missing or no sensible number is unknown."""
    if not isinstance(reported, Mapping):
        return Usage()
    read = chat_answers.count(reported.get("cachedContentTokenCount"))
    thought, drawn = (
        chat_answers.count(reported.get("thoughtsTokenCount")),
        chat_answers.count(reported.get("candidatesTokenCount")),
    )
    input_tokens = chat_answers.count(reported.get("promptTokenCount"))
    return Usage(
        input_tokens=input_tokens,
        output_tokens=None if drawn is None else drawn + (thought or 0),
        total_tokens=chat_answers.count(reported.get("totalTokenCount")),
        input_token_details=InputTokenDetails(
            no_cache=None if input_tokens is None or read is None else max(0, input_tokens - read), cache_read=read
        ),
        output_token_details=OutputTokenDetails(reasoning=thought),
    )


def video(payload: Mapping[str, Any], name: str, base_url: str) -> VideoOperation:
    """Where the work on a video stands. A reference holds no key: the addresses in it are useless without one.

    Args:
        name: of the operation.
        base_url: where the instance's key may go; a video that is elsewhere cannot be fetched.
    """
    reference: dict[str, Any] = {"name": name}
    if payload.get("done") is not True:
        return VideoOperation(reference=reference)
    if payload.get("error"):
        return VideoOperation(reference=reference, status="failed", error=faults.from_failed_work(payload["error"]))
    response = payload.get("response")
    made = response.get("generateVideoResponse") if isinstance(response, Mapping) else None
    answer: Mapping[str, Any] = made if isinstance(made, Mapping) else {}
    urls = [url for sample in _mappings(answer.get("generatedSamples")) if (url := _url(sample))]
    if error := _useless(urls, answer, base_url):
        return VideoOperation(reference=reference, status="failed", error=error)
    withheld = chat_answers.count(answer.get("raiMediaFilteredCount")) or 0
    return VideoOperation(
        reference={**reference, "urls": urls},
        status="completed",
        videos=("video/mp4",) * len(urls),
        warnings=_withheld(withheld, "video"),
    )


def operation_name(value: object) -> str:
    """The name of an operation, which stands in an address without changing it.

    Raises:
        UpstreamInvalidResponse: it is something else.
    """
    if not isinstance(value, str) or not _OPERATION.fullmatch(value):
        raise UpstreamInvalidResponse("The provider's answer has no usable name of an operation.")
    return value


def elsewhere() -> UpstreamInvalidResponse:
    """The error of a video that is where the key may not go."""
    return UpstreamInvalidResponse(
        "The provider's video is not where baseURL is, and the credential is sent nowhere else.", retryable=False
    )


def _useless(urls: list[str], answer: Mapping[str, Any], base_url: str) -> AIModelsError | None:
    """Why nothing can be done with the answer of work that is done."""
    if not urls:
        refused = answer.get("raiMediaFilteredReasons") or answer.get("raiMediaFilteredCount")
        return _refused() if refused else UpstreamInvalidResponse("The provider's answer has no video.", retryable=False)
    from ai_models.transports import http  # an HTTP client, which a process that only looks at the words above has no use for

    return None if all(http.same_origin(url, base_url) for url in urls) else elsewhere()


def _url(sample: Mapping[str, Any]) -> str:
    video = sample.get("video")
    return str(video.get("uri") or "") if isinstance(video, Mapping) else ""


def _inline(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The files of an answer."""
    for candidate in _mappings(payload.get("candidates")):
        content = candidate.get("content")
        for part in _mappings(content.get("parts") if isinstance(content, Mapping) else None):
            if isinstance(inline := part.get("inlineData"), Mapping) and not part.get("thought"):
                yield inline


def _is_refused(payload: Mapping[str, Any]) -> bool:
    feedback = payload.get("promptFeedback")
    if isinstance(feedback, Mapping) and feedback.get("blockReason"):
        return True
    return any(candidate.get("finishReason") in google_words.REFUSALS for candidate in _mappings(payload.get("candidates")))


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())


def _response(payload: Mapping[str, Any]) -> ResponseInfo:
    return chat_answers.response_info({"id": payload.get("responseId"), "model": payload.get("modelVersion")})


def _withheld(count: int, what: str) -> tuple[Warning, ...]:
    if not count:
        return ()
    plural = f"{count} {what}{'s' if count > 1 else ''}"
    return (Warning(type="other", setting="n", message=f"The provider withheld {plural} under its content policy."),)


def _refused() -> ContentPolicyViolation:
    return ContentPolicyViolation("The provider refused the request under its content policy.")


def _imageless() -> UpstreamInvalidResponse:
    return faults.Unsuitable("The provider's answer has no image.")


def _soundless() -> UpstreamInvalidResponse:
    return faults.Unsuitable("The provider's answer has no sound.")
