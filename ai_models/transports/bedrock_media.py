"""Between our types and the formats of the image models on Bedrock. No input or output happens here.

Amazon's: https://docs.aws.amazon.com/nova/latest/userguide/image-gen-req-resp-structure.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-image.html
Stability's: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-stability-diffusion.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ai_models.exceptions import ContentPolicyViolation, UnsupportedFunctionality, UpstreamError
from ai_models.transports import encoded, faults, masks
from ai_models.types import ImageResult, Warning

if TYPE_CHECKING:
    from ai_models.types import ImageRequest

STRENGTH = 0.7
"""How far Stability's models go from a given image, 0 to 1, when nobody says; some take no image without it."""

_CONFIGURATION = frozenset({"quality", "cfgScale"})


def amazon_body(request: ImageRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of Titan Image Generator and Nova Canvas: a task with its parameters, and what all tasks share.

    Raises:
        InvalidRequest: the mask cannot be read.
        UnsupportedFunctionality: there are several images to one mask.
    """
    configuration: dict[str, Any] = {"numberOfImages": request["n"]}
    if "size" in request:
        configuration["width"], configuration["height"] = map(int, request["size"].split("x"))
    if "seed" in request:
        configuration["seed"] = request["seed"]
    shared = {name: value for name, value in options.items() if name in _CONFIGURATION}
    own = {name: value for name, value in options.items() if name not in _CONFIGURATION}
    kind, field, task = _task(request)
    return {
        "taskType": kind,
        field: {"text": request["prompt"], **own, **task},
        "imageGenerationConfig": {**shared, **configuration},
    }


def stability_body(model: str, request: ImageRequest, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of Stability's models.

    Raises:
        UnsupportedFunctionality: there is a mask, or more than one image.
    """
    body: dict[str, Any] = {"prompt": request["prompt"], **options}
    body |= {name: value for name, value in request.items() if name in {"aspect_ratio", "seed"}}
    if "mask" in request:
        raise UnsupportedFunctionality("mask: of the models on Bedrock, Amazon's take a mask.")
    if "images" in request:
        if len(request["images"]) > 1:
            raise UnsupportedFunctionality("images: Stability's models work from one image.")
        body["image"] = encoded.base64_text(request["images"][0])
        if "sd3" in model:
            body["mode"] = "image-to-image"
        if "sd3" in model or "ultra" in model:
            body.setdefault("strength", STRENGTH)
    return body


def images(payload: Mapping[str, Any]) -> ImageResult:
    """The images of an answer.

    Raises:
        ContentPolicyViolation: the input was refused, or all images were withheld.
        UpstreamInvalidResponse: there is none, or something that is none.
        UpstreamError: the model failed.
    """
    listed = payload.get("images")
    made = [item for item in listed if item is not None] if isinstance(listed, list) else []
    if not made:
        raise _imageless(payload)
    # Amazon says there that it withheld some.
    withheld = Warning(type="other", setting="n", message="The provider withheld some of the images.")
    return ImageResult(images=tuple(map(encoded.image, made)), warnings=(withheld,) if payload.get("error") else ())


def _task(request: ImageRequest) -> tuple[str, str, dict[str, Any]]:
    """The task's type, the name of its parameters, and those of them that hold images."""
    if "images" not in request:
        return "TEXT_IMAGE", "textToImageParams", {}
    given = [encoded.base64_text(image) for image in request["images"]]
    if "mask" not in request:
        return "IMAGE_VARIATION", "imageVariationParams", {"images": given}
    if len(given) > 1:
        raise UnsupportedFunctionality("images: with a mask, Amazon's models change one image.")
    mask = encoded.base64_text(masks.black_and_white(request["mask"]))
    return "INPAINTING", "inPaintingParams", {"image": given[0], "maskImage": mask}


def _imageless(payload: Mapping[str, Any]) -> Exception:
    reasons = payload.get("finish_reasons")
    reason = next((reason for reason in reasons if reason), None) if isinstance(reasons, list) else None
    if isinstance(reason, str):
        if reason.startswith("Filter reason"):
            return ContentPolicyViolation("The provider refused the request under its content policy.")
        return UpstreamError("The provider reports a failure of its own.")
    failure = faults.from_failed_work(payload.get("error"))
    if isinstance(failure, ContentPolicyViolation):
        return failure
    return faults.Unsuitable("The provider's answer has no image.")
