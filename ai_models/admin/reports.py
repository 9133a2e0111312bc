"""Error reports about forms that credentials are entered in: what was entered is in no frame and no field of them."""

from __future__ import annotations

from collections.abc import Callable, ItemsView
from functools import wraps
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter


class Discreet(SafeExceptionReporterFilter):
    """Leaves the values of variables and of the form out, whatever ``DEBUG`` says and however they are called."""

    def is_active(self, request: HttpRequest | None) -> bool:
        return True

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        return dict.fromkeys(request.POST, self.cleansed_substitute) if request is not None else {}

    def get_traceback_frame_variables(self, request: Any, tb_frame: FrameType) -> ItemsView[str, Any]:
        return dict.fromkeys(tb_frame.f_locals, self.cleansed_substitute).items()


def discreet(view: Callable[..., Any]) -> Callable[..., Any]:
    """The view, about whose requests reports are discreet. It goes outermost: the look-up of the user can fail already."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        request.exception_reporter_filter = Discreet()
        return view(request, *args, **kwargs)

    return inner
