"""Buffer for streamed text: returns complete words, so that tokens do not depend on the chunks."""

import re

__all__ = ["WordBuffer"]

# White space for both Python and the regular expressions of the tokenizers; the four separators
# U+001C to U+001F are white space for Python only.
_GAP = re.compile(r"[^\S\x1c-\x1f]+")


class WordBuffer:
    """Buffer for the last word of a streamed text, which may not be complete yet.

    Complete text ends before the white space that follows a word. No tokenizer of nlp_rnn joins
    characters across white space, and a run of white space is never split. So the tokens of the
    returned parts, one after the other, are the tokens of the whole text.

    Parameters
    ----------
    pending : str
        Initial content of the buffer.
    """

    def __init__(self, pending: str = "") -> None:
        self.pending = pending

    def add(self, text: str) -> str:
        """Append text, and return the text that is complete now, which is often empty."""
        gaps = list(_GAP.finditer(text))
        if not gaps:
            self.pending += text
            return ""
        whole = self.pending + text
        end = len(self.pending) + gaps[-1].start()
        if gaps[-1].start() == 0:  # the run may have begun before
            end = len(_rstripped(self.pending))
        self.pending = whole[end:]
        return whole[:end]

    def rest(self) -> str:
        """Return the rest of the text, after the last `add`, and empty the buffer."""
        rest, self.pending = self.pending, ""
        return rest


def _rstripped(text: str) -> str:
    end = len(text)
    while end > 0 and _GAP.fullmatch(text[end - 1]):
        end -= 1
    return text[:end]
