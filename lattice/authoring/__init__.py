"""For people who write actors: projects, toolchains, builds, and the loop from a saved file to a served request."""
