"""The one error a user can mend."""


class UserError(ValueError):
    """Input, configuration or environment that the user can mend; the command line exits with status 2.

    The message states the rule, the value that broke it, and what to do.
    """
