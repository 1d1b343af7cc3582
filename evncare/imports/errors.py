"""What can be wrong with a file as a whole."""


class FileRefused(Exception):
    """The file is not taken at all; the message says why and what to do."""
