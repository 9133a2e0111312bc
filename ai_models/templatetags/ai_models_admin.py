"""``{% provider_tabs %}``: the way to this app's pages from the app's own index in the admin."""

from __future__ import annotations

from typing import Any

from django import template
from django.contrib.admin.sites import all_sites

from ai_models.models import ProviderInstance

register = template.Library()


@register.inclusion_tag("ai_models/admin/tabs.html", takes_context=True)
def provider_tabs(context: template.Context) -> dict[str, Any]:
    """The tabs that this request's user may see, of the admin site that the request came to."""
    request = context["request"]
    for site in all_sites:
        pages = getattr(site._registry.get(ProviderInstance), "pages", None)
        if site.name == request.current_app and pages is not None:
            return {"tabs": pages.tabs(request, "index")}
    return {"tabs": []}
