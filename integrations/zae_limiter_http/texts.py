"""What a refusal says to people: in English, or as the translations of a framework say it."""

from typing import Final, Protocol


class Texts(Protocol):
    """Says a text in the language of the request that is being served."""

    def say(self, singular: str, plural: str, number: int) -> str:
        """The text for a number of things; what stands in braces is put in afterwards."""
        ...

    def language(self) -> str:
        """The language as HTML names it, such as `en`."""
        ...


class English:
    """The texts as they are written."""

    def say(self, singular: str, plural: str, number: int) -> str:
        """The text for a number of things."""
        return singular if number == 1 else plural

    def language(self) -> str:
        """The language as HTML names it."""
        return "en"


ENGLISH: Final = English()

TOO_MANY: Final = "Too Many Requests"
UNAVAILABLE: Final = "Service Unavailable"
FORBIDDEN: Final = "Forbidden"
EXCEEDED: Final = ("Rate limit {names} exceeded.", "Rate limits {names} exceeded.")
RETRY: Final = ("Retry in {seconds} second.", "Retry in {seconds} seconds.")
NEVER: Final = "It cannot be granted at any time."
NO_ANSWER: Final = "The service cannot answer now."
NOT_SERVED: Final = "This is not served here."
