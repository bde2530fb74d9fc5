"""What is said to a bot without asking it anything: it gets a word back, and nothing is searched.

Only what is nothing else: every word has to be known. "Thanks, and in Germany?" is a question, and so is
"hello world in Rust". A question mistaken for thanks would go unanswered; thanks taken for a question cost
a search.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from core.types import NoticeKind

MAX_CHARS: Final = 80

_PHRASES: Final[Mapping[NoticeKind, tuple[str, ...]]] = {
    NoticeKind.SMALL_TALK_THANKS: (
        "thanks", "thank you", "thx", "thanx", "ty", "tysm", "cheers", "many thanks", "much appreciated",
        "no thanks", "no thank you",
        "danke", "danke schön", "danke dir", "vielen dank", "besten dank", "dankeschön",
        "merci", "merci beaucoup", "merci bien", "gracias", "muchas gracias", "mil gracias",
        "grazie", "grazie mille", "molte grazie", "obrigado", "obrigada", "muito obrigado", "muito obrigada",
        "dank je", "dank je wel", "dankjewel", "dank u", "bedankt", "tack", "tack så mycket", "takk",
        "tusen takk", "mange tak", "kiitos", "dziękuję", "dzięki", "děkuji", "díky", "köszönöm", "mulțumesc",
        "ευχαριστώ", "teşekkürler", "teşekkür ederim", "спасибо", "большое спасибо", "спасибо большое",
        "дякую", "благодаря", "شكرا", "شكراً", "תודה", "تشکر", "धन्यवाद", "शुक्रिया", "ขอบคุณ", "cảm ơn",
        "terima kasih", "谢谢", "谢谢你", "謝謝", "多谢", "感谢", "ありがとう", "ありがとうございます",
        "どうもありがとう", "감사합니다", "고마워", "고마워요", "고맙습니다",
    ),
    NoticeKind.SMALL_TALK_BYE: (
        "bye", "bye bye", "goodbye", "good bye", "see you", "see ya", "see you later", "see you tomorrow",
        "good night", "have a good day", "have a nice day", "tschüss", "auf wiedersehen", "bis bald",
        "gute nacht", "au revoir", "à bientôt", "bonne nuit", "bonne journée", "adiós", "adios",
        "hasta luego", "hasta mañana", "buenas noches", "arrivederci", "buonanotte", "tchau", "até logo",
        "tot ziens", "doei", "пока", "до свидания", "再见", "拜拜", "さようなら", "またね", "안녕히 계세요",
    ),
    NoticeKind.SMALL_TALK_HELLO: (
        "hello", "hi", "hey", "hiya", "howdy", "greetings", "good morning", "good afternoon", "good evening",
        "how are you", "how are you doing", "how are you today", "how is it going", "how's it going",
        "what's up", "are you there", "anyone there", "anybody there", "who are you", "what can you do",
        "hallo", "guten morgen", "guten tag", "guten abend", "moin", "servus", "grüß gott", "wie geht's",
        "wie geht es dir", "wer bist du", "was kannst du", "bonjour", "bonsoir", "salut", "ça va",
        "comment ça va", "qui es-tu", "hola", "buenos días", "buenas tardes", "qué tal", "cómo estás",
        "quién eres", "ciao", "buongiorno", "buonasera", "come stai", "come va", "chi sei", "olá", "bom dia",
        "boa tarde", "boa noite", "tudo bem", "hoi", "goedemorgen", "goedemiddag", "hej", "hei", "cześć",
        "ahoj", "merhaba", "привет", "здравствуйте", "добрый день", "как дела", "привіт", "مرحبا", "שלום",
        "السلام عليكم", "नमस्ते", "สวัสดี", "xin chào", "你好", "您好", "你好吗", "早上好", "こんにちは",
        "おはよう", "おはようございます", "こんばんは", "元気ですか", "안녕", "안녕하세요",
    ),
    NoticeKind.SMALL_TALK_OK: (
        "ok", "okay", "okey", "k", "kk", "alright", "all right", "right", "got it", "i see", "understood",
        "makes sense", "that makes sense", "that helps", "that helped", "very helpful", "sounds good", "cool",
        "great", "very nice", "nice one", "well done", "good job", "great job", "nice work", "good bot",
        "good to know", "perfect", "awesome", "excellent", "wonderful", "amazing", "no worries",
        "never mind", "nevermind", "nvm", "that's all", "that is all", "that's it", "you're welcome", "lol",
        "haha", "wow", "alles klar", "verstanden", "in ordnung", "passt", "klasse", "gern geschehen",
        "d'accord", "compris", "parfait", "très bien", "de rien", "vale", "entendido", "perfecto", "de nada",
        "muy bien", "va bene", "perfetto", "capito", "prego", "entendi", "perfeito", "begrepen", "prima",
        "ок", "хорошо", "понятно", "ясно", "отлично", "好的", "好", "明白了", "知道了", "わかりました",
        "了解", "了解です", "네", "알겠습니다",
    ),
}  # fmt: skip
"""By what is answered; where several were said, the first kind in this order."""

_FILLERS: Final = (
    "so much", "very much", "a lot", "a bunch", "again", "all", "you", "bot", "there", "everyone",
    "everybody", "team", "my friend", "mate", "buddy", "for your help", "for the help", "for helping",
    "for that", "for this", "for the answer", "for your answer", "for now", "oh", "ah", "sehr",
    "dir", "ihnen",
    "für die hilfe", "für deine hilfe", "pour ton aide", "pour votre aide", "por tu ayuda", "por la ayuda",
    "per l'aiuto", "pela ajuda", "за помощь",
)  # fmt: skip
"""What may stand beside, and says nothing alone."""

_FRIENDLY: Final = frozenset(
    "👍👋🙏❤🧡💛💚💙💜🖤♥👌😊🙂😀😃😄😁😆😅😂🤣😉😍🥰😎🤗🤩🎉🥳💯✅✔👏🙌🤝🔥💪⭐🌟✨"
)
_FRIENDLY_NAMES: Final = frozenset(
    {
        "+1", "thumbsup", "wave", "pray", "heart", "ok_hand", "blush", "slightly_smiling_face", "smile",
        "smiley", "grin", "grinning", "joy", "wink", "heart_eyes", "hugging_face", "tada", "100",
        "white_check_mark", "heavy_check_mark", "clap", "raised_hands", "handshake", "fire", "muscle", "star",
        "sparkles",
    }
)  # fmt: skip
_WAVES: Final = frozenset({"👋", "wave"})

# Slack's and Discord's names for emoji, with Discord's id for a server's own.
_SHORTCODE = re.compile(r"<a?:([\w~+-]+):\d+>|:([\w+'-]+)(?:::skin-tone-\d)?:")
_SMILEY = re.compile(r"(?:[:;=]-?[)(DPp3]|<3|\^\^)(?!\w)")
_PUNCTUATION = re.compile(r"[\s.,!;:~*_\"()¡¿?、。，！？…–—-]+")


def _alternatives(phrases: tuple[str, ...]) -> str:
    """Longest first; a phrase ends where a word does, or where its script has no spaces."""
    ordered = sorted((_plain(phrase) for phrase in phrases), key=len, reverse=True)
    return "|".join(
        re.escape(phrase) + ("" if phrase[-1] >= "\u3040" and phrase[-1] <= "\u9fff" else r"(?: |\Z)")
        for phrase in ordered
    )


def _plain(text: str) -> str:
    """Words only, one space between; the apostrophe is a letter."""
    text = unicodedata.normalize("NFC", text).casefold().replace("’", "'")
    return _PUNCTUATION.sub(" ", text).strip()


_KINDS: Final = {
    kind: re.compile(rf"(?:(?<!\w)|(?<=[\u3040-\u9fff]))(?:{_alternatives(found)})")
    for kind, found in _PHRASES.items()
}
_ANYTHING_KNOWN = re.compile(
    rf"(?:(?:{_alternatives((*(p for found in _PHRASES.values() for p in found), *_FILLERS))}) ?)+"
)
_GREETING_QUESTIONS = re.compile(
    r"how are you|how is it going|how's it going|what's up|are you there|any(?:one|body) there|who are you"
    r"|what can you do|wie geht|wer bist du|was kannst du|ça va|qui es tu|qué tal|cómo estás|quién eres"
    r"|come stai|come va|chi sei|tudo bem|как дела|你好吗|元気ですか"
)


def small_talk(text: str) -> NoticeKind | None:
    """What to answer; None if it is, or might be, anything else."""
    if len(text) > MAX_CHARS:
        return None
    words = _plain(_SMILEY.sub(" ", _without_emoji(text)))
    if not words:
        return _of_emoji(text)
    if not _ANYTHING_KNOWN.fullmatch(words):
        return None
    if ("?" in text or "？" in text) and not _GREETING_QUESTIONS.search(words):
        return None
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(words)), None)


def _without_emoji(text: str) -> str:
    text = _SHORTCODE.sub(" ", text)
    return "".join(" " if _is_pictorial(character) else character for character in text)


def _is_pictorial(character: str) -> bool:
    """An emoji or what belongs to one: a skin tone, a selector, a joiner."""
    is_symbol = unicodedata.category(character) in {"So", "Sk"} and character not in "^`"
    return is_symbol or character in "\ufe0f\u200d"


def _of_emoji(text: str) -> NoticeKind | None:
    """Of a text without words."""
    names = {match[1] or match[2] for match in _SHORTCODE.finditer(text)}
    drawn = {character for character in _SHORTCODE.sub("", text) if unicodedata.category(character) == "So"}
    if "?" in text or not (names or drawn) or not (names <= _FRIENDLY_NAMES and drawn <= _FRIENDLY):
        return None
    return NoticeKind.SMALL_TALK_HELLO if (names | drawn) <= _WAVES else NoticeKind.SMALL_TALK_OK
