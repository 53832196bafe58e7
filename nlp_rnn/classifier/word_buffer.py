"""Text as it comes becomes pieces that hold whole words, so that their tokens are the text's."""

import re

__all__ = ["WordBuffer"]

# White space for Python and for the tokenizers' regular expressions alike; the four separators
# U+001C to U+001F are that for Python only.
_GAP = re.compile(r"[^\S\x1c-\x1f]+")


class WordBuffer:
    """Keeps back what may still change: white space, and the word that has not ended.

    A piece ends before the white space that follows a word. No tokenizer of nlp_rnn joins
    characters across white space, and a run of it is never cut, so the tokens of the pieces are,
    one after the other, the tokens of the whole text.
    """

    def __init__(self, pending: str = "") -> None:
        self.pending = pending

    def add(self, text: str) -> str:
        """Take more text and give back what is complete; often nothing."""
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
        """What was kept back, now that the text has ended."""
        rest, self.pending = self.pending, ""
        return rest


def _rstripped(text: str) -> str:
    end = len(text)
    while end > 0 and _GAP.fullmatch(text[end - 1]):
        end -= 1
    return text[:end]
