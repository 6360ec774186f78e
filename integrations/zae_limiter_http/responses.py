"""What a rule may know of a response: its status and its headers, whoever made it."""

from collections.abc import Iterator, Mapping, Sequence


class ResponseHeaders(Mapping[str, str]):
    """Headers by name, in any case; several lines of one name are joined."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __getitem__(self, name: str) -> str:
        found = [value for key, value in self._pairs if key.lower() == name.lower()]
        if not found:
            raise KeyError(name)
        return ", ".join(found)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key.lower() for key, _ in self._pairs))

    def __len__(self) -> int:
        return len(list(iter(self)))


class HttpResponse:
    """The beginning of a response: `status_code` and `headers`."""

    __slots__ = ("headers", "status_code")

    def __init__(self, status_code: int, headers: Sequence[tuple[str, str]]) -> None:
        self.status_code = status_code
        self.headers = ResponseHeaders(headers)
