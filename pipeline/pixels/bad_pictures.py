"""Pictures that become error rows, and why."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a picture has no features."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not an image"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too large"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"


class BadPictureError(Exception):
    """A picture that becomes an error row: a reason of the fixed set and the detail in words."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def kept(self) -> "BadPictureError":
        """The same without where it was raised: those frames hold the file, and what was decoded of it."""
        return BadPictureError(self.reason, self.detail)
