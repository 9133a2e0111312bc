"""What the API offers, one row per operation. Routes, validation, the OpenAPI document and the docs page read these rows."""

from __future__ import annotations

from dataclasses import dataclass

from ai_models import exceptions, service, videos
from ai_models.api.operation import ALWAYS, Call, Errors, Files, Operation, Stream
from ai_models.tickets import Ticket
from ai_models.types import (
    EmbedRequest,
    EmbedResult,
    ImageRequest,
    ImageResult,
    ObjectRequest,
    ObjectResult,
    ObjectStreamRequest,
    ResolveRequest,
    SpeechRequest,
    SpeechResult,
    TextRequest,
    TextResult,
    TextStreamRequest,
    TranscribeRequest,
    TranscriptionResult,
    VideoJob,
    VideoRequest,
)

_WITH_BODY: Errors = (*ALWAYS, exceptions.PayloadTooLarge)
_PROVIDER: Errors = (exceptions.ProviderNotFound,)
_MODEL_CALL: Errors = (
    *_WITH_BODY,
    exceptions.ContextWindowExceeded,
    exceptions.ContentPolicyViolation,
    exceptions.ProviderNotFound,
    exceptions.ModelNotFound,
    exceptions.ProviderDisabled,
    exceptions.CapabilityNotEnabled,
    exceptions.UnsupportedFunctionality,
    exceptions.UpstreamRateLimited,
    exceptions.UpstreamError,
    exceptions.UpstreamAuthFailed,
    exceptions.UpstreamInvalidResponse,
    exceptions.CredentialUnavailable,
    exceptions.CircuitOpen,
    exceptions.UpstreamTimeout,
)


@dataclass(frozen=True, slots=True)
class ProviderList:
    """The provider instances the caller may see."""

    providers: tuple[service.ProviderInfo, ...]


@dataclass(frozen=True, slots=True)
class ModelList:
    """The configured models and aliases."""

    models: tuple[service.ModelInfo, ...]


_DOWNLOAD = "The {kind} is base64 in JSON, or the bytes themselves when Accept asks for {types}."

_OBJECT_EXAMPLE = {
    "prompt": "A person named Ada, 36 years old.",
    "schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
    },
}

CALLS = (
    Call(
        name="generate-text",
        summary="Generate text",
        request=TextRequest,
        result=TextResult,
        errors=_MODEL_CALL,
        example={"prompt": "Name three colours."},
        run=service.agenerate_text,
    ),
    Call(
        name="generate-object",
        summary="Generate an object that satisfies a JSON Schema",
        request=ObjectRequest,
        result=ObjectResult,
        errors=(*_MODEL_CALL, exceptions.NoObjectGenerated),
        example=_OBJECT_EXAMPLE,
        run=service.agenerate_object,
    ),
    Call(
        name="embed",
        summary="Turn texts into vectors",
        request=EmbedRequest,
        result=EmbedResult,
        errors=_MODEL_CALL,
        example={"values": ["a cat on a mat", "a kitten on a rug"]},
        run=service.aembed,
    ),
    Call(
        name="generate-image",
        summary="Generate images, or edit the given ones",
        description=_DOWNLOAD.format(kind="image", types="image/png or image/*") + " Bytes are those of one image.",
        request=ImageRequest,
        result=ImageResult,
        errors=_MODEL_CALL,
        example={"prompt": "A cat in a hat, water colours"},
        form={"prompt": "The same cat without its hat", "images": "@cat.png"},
        files=Files("image", lambda result: result.images),
        run=service.agenerate_image,
    ),
    Call(
        name="generate-speech",
        summary="Speak a text",
        description=_DOWNLOAD.format(kind="recording", types="audio/wav or audio/*"),
        request=SpeechRequest,
        result=SpeechResult,
        errors=_MODEL_CALL,
        example={"text": "Good morning."},
        files=Files("audio", lambda result: (result.audio,)),
        run=service.agenerate_speech,
    ),
    Call(
        name="transcribe",
        summary="Write down what is said in a recording",
        description="A form may call the recording file instead of audio.",
        request=TranscribeRequest,
        result=TranscriptionResult,
        errors=_MODEL_CALL,
        form={"audio": "@speech.wav"},
        aliases={"file": "audio"},
        run=service.atranscribe,
    ),
    Call(
        name="resolve",
        summary="Explain which provider and model a request would use",
        description="Nothing is called. The answer tells the rule, the alias, every gate's verdict and what to change.",
        request=ResolveRequest,
        result=service.Resolution,
        errors=_WITH_BODY,
        example={"capability": "text-generation"},
        run=service.aresolve,
    ),
)

STREAMS = (
    Stream(
        name="stream-text",
        summary="Generate text as a stream of server-sent events",
        description=(
            "The AI SDK's UI message stream protocol: one JSON object per data line, [DONE] as the last. Exactly one of the "
            "events finish, error and abort ends a stream. The bodies of the useChat and useCompletion hooks are taken as they "
            "are. A failure before the first event is an ordinary error response."
        ),
        request=TextStreamRequest,
        result=None,
        errors=_MODEL_CALL,
        example={"prompt": "Tell a short story."},
        run=service.astream_text,
    ),
    Stream(
        name="stream-object",
        summary="Generate an object as a stream of server-sent events",
        description=(
            "As stream-text; the events data-object have the object as far as it is known, each in place of the one before, "
            "and the last one satisfies the schema. The text is the object's JSON."
        ),
        request=ObjectStreamRequest,
        result=None,
        errors=(*_MODEL_CALL, exceptions.NoObjectGenerated),
        example=_OBJECT_EXAMPLE,
        run=service.astream_object,
    ),
)
_RESUMED: Errors = (*ALWAYS, exceptions.StreamNotFound)

RESUME_STREAM = Operation(
    name="resume-stream",
    summary="Go on with a stream",
    description=(
        "The whole stream of this id, or of the chat of this id, from its first event: what the AI SDK's useChat asks for with "
        "resume. 204 when there is none, or its end was told already. To go on after a certain event, send GET or POST to "
        "stream-text with the id of that event in Last-Event-ID."
    ),
    result=None,
    errors=_RESUMED,
)
CANCEL_STREAM = Operation(
    name="cancel-stream",
    summary="Cancel a stream",
    description="It tells abort then. A stream that has ended stays as it is.",
    result=None,
    status=204,
    errors=_RESUMED,
)
ISSUE_TICKET = Operation(
    name="ws-ticket",
    summary="Fetch a ticket for the websocket",
    description=(
        "Good for one handshake within a minute, in place of this request's credential: send it as the second subprotocol, "
        "ticket.VALUE, beside ai-models.v1."
    ),
    result=Ticket,
)
LIST_PROVIDERS = Operation(name="list-providers", summary="List provider instances and what each can do", result=ProviderList)
GET_PROVIDER = Operation(
    name="get-provider", summary="Show one provider instance", result=service.ProviderInfo, errors=(*ALWAYS, *_PROVIDER)
)
CHECK_PROVIDER = Operation(
    name="check-provider",
    summary="Check a provider instance now",
    description=(
        "Checks settings, credential, address, authentication and models at no cost, and stores what is found. "
        "Needs the permission ai_models.change_providerinstance."
    ),
    result=service.ProviderInfo,
    errors=(*ALWAYS, *_PROVIDER),
)
LIST_MODELS = Operation(
    name="list-models", summary="List configured models and aliases", description="Narrow with ?capability=.", result=ModelList
)

_JOB: Errors = (*ALWAYS, exceptions.VideoNotFound)

GENERATE_VIDEO = Call(
    name="generate-video",
    summary="Have videos made",
    description=(
        "Answers at once with a job that goes on by itself; a wrong request is refused at once. Ask at Location how far it is: "
        "completed, failed and cancelled are its ends. timeout is for the whole job."
    ),
    request=VideoRequest,
    result=VideoJob,
    errors=_MODEL_CALL,
    example={"prompt": "A cat walks over a roof"},
    run=videos.agenerate_video,
    status=202,
)
GET_VIDEO = Operation(
    name="get-video",
    summary="Show how far a video job is",
    description="A job is shown to the user who asked for it, and to nobody else.",
    result=VideoJob,
    errors=_JOB,
)
GET_VIDEO_CONTENT = Operation(
    name="get-video-content",
    summary="Download a video",
    description="The bytes of one video of a completed job; ?index=1 is the second. One range can be asked for.",
    result=None,
    errors=(*_JOB, exceptions.VideoNotReady),
    download="video/*",
)
CANCEL_VIDEO = Operation(
    name="cancel-video",
    summary="Cancel a video job",
    description="A job that has ended stays as it is.",
    result=VideoJob,
    errors=_JOB,
)
PROVIDERS = (LIST_PROVIDERS, GET_PROVIDER, CHECK_PROVIDER, LIST_MODELS)
VIDEOS = (GENERATE_VIDEO, GET_VIDEO, GET_VIDEO_CONTENT, CANCEL_VIDEO)

OPERATIONS = (
    CALLS[0],
    STREAMS[0],
    CALLS[1],
    STREAMS[1],
    RESUME_STREAM,
    CANCEL_STREAM,
    ISSUE_TICKET,
    *CALLS[2:],
    *VIDEOS,
    *PROVIDERS,
)
"""All of them, in the order in which the docs show them."""
