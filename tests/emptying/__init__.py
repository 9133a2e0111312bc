"""An app for the settings of tests alone: its ``flush`` takes the place of Django's."""
