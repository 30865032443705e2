"""How wide a text is, and how it is broken into lines, without a font at hand.

The widths are those of DejaVu Sans, one of the widest fonts that a browser may put in; any other leaves some room.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

#: Widths in thousandths of the font size, of the signs that are not as wide as most.
_WIDTHS: Final = {
    **dict.fromkeys("ijlI|", 290),
    **dict.fromkeys(" .,:;'`·", 325),
    **dict.fromkeys("()[]-/\\!tfr", 400),
    **dict.fromkeys('"_*sz?^', 525),
    **dict.fromkeys("m%@M…Wµ", 980),
    **dict.fromkeys("=+<>~#wOQGDNH&", 840),
}
_MOST: Final = 640
_CAPITAL: Final = 720
_CODE: Final = 605
_BOLD: Final = 1.1
_OPERATORS: Final = frozenset(
    ["==", "!=", "<", "<=", ">", ">=", "&", "|", "and", "or", "not", "in", "is", "if", "else"]
)
_BREAK_AFTER: Final = re.compile(r"(?<=[_./,(\[:-])(?=.)")


@dataclass(frozen=True)
class Font:
    """A size in pixels and a face; lines are `step` pixels apart."""

    size: int
    step: int
    bold: bool = False
    code: bool = False

    def width(self, text: str) -> float:
        """How many pixels the text takes at most."""
        thousandths = sum(_CODE if self.code and sign.isascii() else _width(sign) for sign in text)
        return thousandths * self.size / 1000 * (_BOLD if self.bold else 1)

    def wrapped(self, text: str, width: float, lines: int) -> tuple[str, ...]:
        """The text in at most so many lines of this width; what is too much gives way to an ellipsis."""
        found: list[str] = []
        for words in self._words(text):
            for word in [words] if self.width(words) <= width else words.split():
                joined = f"{found[-1]} {word}" if found else word
                if found and self.width(joined) <= width:
                    found[-1] = joined
                elif self.width(word) <= width:
                    found.append(word)
                else:
                    found.extend(self._broken(word, width))
        if len(found) <= lines:
            return tuple(found)
        kept = found[:lines]
        kept[-1] = self.cut(f"{kept[-1]} {found[lines]}", width, always=True)
        return tuple(kept)

    def cut(self, text: str, width: float, *, always: bool = False) -> str:
        """The text on one line of this width, with an ellipsis where it was cut (or `always`)."""
        if not always and self.width(text) <= width:
            return text
        while text and self.width(text + "…") > width:
            text = text[:-1]
        return text.rstrip() + "…"

    def _words(self, text: str) -> list[str]:
        """What is kept on one line if it can be: a number with its unit, and in code an operator with what follows."""
        found: list[str] = []
        for word in text.split():
            last = found[-1].rpartition(" ")[2] if found else ""
            if last.isdecimal() or (self.code and last in _OPERATORS):
                found[-1] += f" {word}"
            else:
                found.append(word)
        return found

    def _broken(self, word: str, width: float) -> list[str]:
        """A word that fits on no line, broken after punctuation, else anywhere."""
        found = [""]
        for piece in _BREAK_AFTER.split(word):
            if self.width(found[-1] + piece) <= width:
                found[-1] += piece
            elif self.width(piece) <= width:
                found.append(piece)
            else:
                for sign in piece:
                    if self.width(found[-1] + sign) > width:
                        found.append("")
                    found[-1] += sign
        return [piece for piece in found if piece]


def _width(sign: str) -> int:
    if sign.isascii():
        return _WIDTHS.get(sign, _CAPITAL if sign.isupper() else _MOST)
    if unicodedata.combining(sign):
        return 0
    if unicodedata.east_asian_width(sign) in "WF":
        return 1040
    return _WIDTHS.get(sign, _CAPITAL if sign.isupper() else 700)
