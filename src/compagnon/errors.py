"""The one error a person sees: what was wrong, where, and what would be right."""


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is a whole sentence for a person: it names the file, field or row, and says what
    would be right. The command line prints it and exits with code 2.
    """
