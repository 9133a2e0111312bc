"""Too many calls, and providers that are dead."""
