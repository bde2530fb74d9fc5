"""What a reader can press under a reply."""

from __future__ import annotations

from typing import Final

from adapters import wording
from adapters.slack.render import Block

STOP: Final = "stop_answer"
SEARCH_AGAIN: Final = "search_again"
FEEDBACK: Final = "feedback"
"""Action ids; a feedback button that is not Slack's own has its value after a colon."""

GOOD: Final = "good"
BAD: Final = "bad"


def stop_block(key: str) -> Block:
    """key: of the running answer."""
    return {"type": "actions", "elements": [_button(STOP, wording.STOP, key)]}


def ending_blocks(key: str, *, native_feedback: bool) -> list[Block]:
    """Feedback and "Search again". native_feedback: with Slack's own thumbs."""
    again = _button(SEARCH_AGAIN, wording.SEARCH_AGAIN, key)
    if not native_feedback:
        thumbs = [
            _button(f"{FEEDBACK}:{GOOD}", wording.GOOD, GOOD),
            _button(f"{FEEDBACK}:{BAD}", wording.BAD, BAD),
        ]
        return [{"type": "actions", "elements": [*thumbs, again]}]
    thumbs_block = {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK,
                "positive_button": {"text": _plain(wording.GOOD), "value": GOOD},
                "negative_button": {"text": _plain(wording.BAD), "value": BAD},
            }
        ],
    }
    return [thumbs_block, {"type": "actions", "elements": [again]}]


def _button(action_id: str, text: str, value: str) -> Block:
    return {"type": "button", "action_id": action_id, "text": _plain(text), "value": value}


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text}
