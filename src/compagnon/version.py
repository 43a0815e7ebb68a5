"""Which version this is: said here once, read by the build, by reports and by artefacts."""

__version__ = "0.1.0"
