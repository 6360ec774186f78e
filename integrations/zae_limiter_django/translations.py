"""What a refusal says to people, in the language that Django has activated for the request."""

from django.utils.translation import get_language, gettext, ngettext


class Translated:
    """Texts as the catalogues of the project and its applications have them, else in English."""

    def say(self, singular: str, plural: str, number: int) -> str:
        """The text for a number of things."""
        return gettext(singular) if singular == plural else ngettext(singular, plural, number)

    def language(self) -> str:
        """The language as HTML names it."""
        return get_language() or "en"
