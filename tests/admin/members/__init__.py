"""A host with a user model of its own. What is tested runs in a process of its own, since a process has one user model."""
