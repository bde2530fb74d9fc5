"""The small words of a few languages, by which a follow-up can be told from a question of its own.

Written by hand, for the languages most asked in; any other is read as English, which finds nothing in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_TOKEN = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """Lower case, apostrophes taken for spaces.

    links: begin a sentence that goes on from another ("and").
    abouts: phrases after which a question leaves out all but what is new ("what about").
    asking: words a whole question begins with; verbs: those of them that make it a sentence.
    pronouns: stand for what was named before; weak: the same, unless they stand for nothing ("it rains").
    places: stand for a place named before, at the end of a question.
    """

    links: frozenset[str]
    abouts: tuple[str, ...]
    asking: frozenset[str]
    verbs: frozenset[str]
    pronouns: frozenset[str]
    weak: frozenset[str]
    places: frozenset[str]
    prepositions: frozenset[str]
    articles: frozenset[str]

    def knows(self, word: str) -> bool:
        """Whether it is a small word of this language, which says nothing alone."""
        return any(
            word in kind
            for kind in (
                self.links, self.asking, self.verbs, self.pronouns, self.weak, self.places,
                self.prepositions, self.articles,
            )
        )  # fmt: skip


def _language(*, abouts: Sequence[str], **words: str) -> Language:
    """words: of each kind, with spaces between."""
    kinds = {kind: frozenset(found.split()) for kind, found in words.items()}
    kinds["asking"] |= kinds["verbs"]
    return Language(abouts=tuple(abouts), **kinds)


_ENGLISH: Final = _language(
    links="and or but also so then ok okay well now thanks thx great cool hi hello hey please",
    abouts=("what about", "how about", "what of", "same for", "the same for", "tell me more about"),
    asking="what which who whom whose when where why how much many long old often far whats whos",
    verbs="is are was were am do does did can could should would will has have had may might must",
    pronouns="he she him her his hers they them their theirs its this these those",
    weak="it",
    places="there",
    prepositions="in of for from at on to by with about under over between since until during without",
    articles="a an the any some more most not no i you we us my your our me be been if than as that",
)
_GERMAN: Final = _language(
    links="und oder aber auch also dann okay danke hallo bitte",
    abouts=("wie ist es mit", "wie sieht es aus mit", "was ist mit", "wie steht es mit"),
    asking="was wer wen wem wessen wann wo woher wohin wie warum wieso weshalb wieviel viel viele lange "
    "welche welcher welches welchen",
    verbs="ist sind war waren hat haben hatte kann können soll sollte darf muss wird werden gibt",
    pronouns="er ihn ihm ihr ihre ihren seine sein seinen dessen deren diese dieser dieses diesen dies davon "
    "dafür damit daran darüber",
    weak="es sie",
    places="dort da",
    prepositions="in im von vom für aus an am auf zu zum zur bei mit über unter seit bis nach ohne",
    articles="der die das den dem des ein eine einen einem einer nicht noch man ich du wir denn so",
)
_FRENCH: Final = _language(
    links="et ou mais aussi alors donc merci",
    abouts=("qu en est il de", "qu en est il en", "et pour", "quid de", "même question pour"),
    asking="que quoi qui quel quelle quels quelles quand où comment pourquoi combien qu",
    verbs="est sont était étaient a ont avait peut peuvent doit faut",
    pronouns="elle elles ils lui leur leurs celui celle ceux cela ceci cette ces ses",
    weak="il ça",
    places="là",
    prepositions="en de du des à au aux dans pour par sur avec sans chez depuis vers d",
    articles="le la les l ce un une t s je tu nous vous on ne pas n se c j",
)
_SPANISH: Final = _language(
    links="y o pero también entonces gracias",
    abouts=("qué tal", "qué hay de", "qué pasa con", "lo mismo para"),
    asking="qué quién quiénes cuál cuáles cuándo dónde cómo cuánto cuánta cuántos cuántas",
    verbs="es son era eran está están hay tiene tienen puede pueden debe fue fueron",
    pronouns="él ella ellos ellas su sus esto eso este esta estos estas ese esa",
    weak="lo",
    places="allí allá ahí",
    prepositions="en de del a al para por con sin sobre desde hasta entre",
    articles="el la los las un una se no me te que más",
)
_ITALIAN: Final = _language(
    links="e o ma anche allora quindi grazie",
    abouts=("che ne dici di", "e per quanto riguarda", "che dire di"),
    asking="che cosa chi quale quali quando dove come perché quanto quanta quanti quante cos",
    verbs="è sono era erano ha hanno può possono deve fu c",
    pronouns="lui lei loro suo sua suoi sue questo questa questi queste quello quella",
    weak="esso",
    places="lì là",
    prepositions="in di del della dei delle a al alla da dal per con su sul nel nella tra",
    articles="il lo la i gli le un una uno l si non più",
)
_PORTUGUESE: Final = _language(
    links="e ou mas também então obrigado obrigada",
    abouts=("que tal", "e quanto a", "e quanto ao"),
    asking="o que quem qual quais quando onde como porque porquê quanto quanta quantos quantas",
    verbs="é são era eram está estão há tem têm pode podem deve foi foram",
    pronouns="ele ela eles elas seu sua seus suas isto isso este esta esse essa dele dela",
    weak="lo",
    places="lá ali aí",
    prepositions="em de do da dos das no na nos nas a ao à para por com sem sobre desde até entre",
    articles="os as um uma se não mais",
)
_DUTCH: Final = _language(
    links="en of maar ook dan dus bedankt",
    abouts=("hoe zit het met", "hoe zit het in", "wat met"),
    asking="wat wie welke welk wanneer waar waarom hoe hoeveel veel lang",
    verbs="is zijn was waren heeft hebben had kan kunnen moet mag wordt",
    pronouns="hij zij hem haar hun deze dit dat die ervan daarvan",
    weak="het",
    places="daar er",
    prepositions="in van voor uit aan op te tot bij met over onder sinds naar zonder",
    articles="de een niet nog ik je we",
)
_RUSSIAN: Final = _language(
    links="а и или но также тогда спасибо",
    abouts=("как насчет", "как насчёт", "что насчет", "что насчёт"),
    asking="что кто какой какая какое какие когда где почему зачем как сколько",
    verbs="есть был была были можно может",
    pronouns="он она они его её ее их ему ей им этот эта эти этого этом",
    weak="это",
    places="там",
    prepositions="в во из на от до по с со о об для при без у к",
    articles="не ли же бы",
)
_LANGUAGES: Final = (
    _ENGLISH, _GERMAN, _FRENCH, _SPANISH, _ITALIAN, _PORTUGUESE, _DUTCH, _RUSSIAN,
)  # fmt: skip


def tokens(text: str) -> list[str]:
    """Words and numbers as they are written; an apostrophe parts them."""
    return _TOKEN.findall(text)


def language_of(text: str) -> Language:
    """The one that knows the most of its words, the first of equals."""
    found = [token.lower() for token in tokens(text)]
    return max(_LANGUAGES, key=lambda language: sum(map(language.knows, found)))


def content_words(text: str) -> list[str]:
    """As they are written, in order: what carries the meaning, without single letters."""
    language = language_of(text)
    return [
        token
        for token in tokens(text)
        if not (len(token) == 1 and token.isascii() and token.isalpha()) and not language.knows(token.lower())
    ]
