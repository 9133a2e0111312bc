"""What other packages need to test against this app. Not imported by the app itself."""
