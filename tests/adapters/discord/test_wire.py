"""What goes over the wire: discord.py's own client against a gateway and a REST API on loopback."""

import asyncio
import itertools
import re

import pytest

from adapters import wording
from core.asking.policy import Policy
from core.providers.storage.memory_store import MemoryStore
from core.providers.system_clock import SystemClock
from core.types import AskerId
from tests.adapters.discord.harness import Bot, FastClock, buttons, connected, slow_model, until
from tests.fakes import FakeLanguageModel
from tests.servers.discord_server import (
    CHANNEL_ID,
    EPHEMERAL,
    GUILD_ID,
    SUPPRESS_EMBEDS,
    Bucket,
    DiscordServer,
    Fault,
    text_channel,
)

HOSTILE = [
    "@everyone <@400> <@&200> The moon raises them [1]. ",
    "See https://evil.example/x, [here](https://evil.example/y) and <https://evil.example/z>. ",
    "discord.gg/evil ",
]
SOURCES = {"https://a.example/tides", "https://b.example/bread"}


async def answered(server: DiscordServer, bot: Bot, text: str = "What raises the tides?") -> int:
    """The id of the thread in which a mention was answered."""
    answers = bot.running.started + 1
    asked = await server.mention(text)
    await bot.ended(answers)
    return asked


async def test_a_mention_becomes_a_thread_whose_messages_grow_and_end_with_buttons() -> None:
    bot = Bot()
    bot.world.model = slow_model()
    async with connected(bot) as server:
        thread = await answered(server, bot)

        opening, answer = server.thread_messages(thread)
        (opened,) = [request for request in server.requests if request.path.endswith("/threads")]
        edits = [request for request in server.writes("PATCH") if request.path.endswith(answer["id"])]

    assert opened.body["name"] == "What raises the tides?"
    assert opening["content"] == "> What raises the tides?"
    assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]
    assert answer["content"].startswith("The moon raises them")
    assert "word199" in answer["content"]
    assert "https://a.example/tides" in answer["content"]
    assert len(edits) > 5


@pytest.mark.parametrize("way", ["mention", "command", "private command", "search again"])
async def test_nothing_sent_or_edited_can_call_anybody_show_a_preview_or_lead_astray(way: str) -> None:
    bot = Bot(message_content=True)
    bot.world.model = FakeLanguageModel(HOSTILE * 10, pause_s=0.01)
    question = "@everyone what is https://evil.example/asked about [x](https://evil.example/z)?"
    async with connected(bot) as server:
        if way == "mention":
            await server.mention(question)
        elif way == "search again":
            thread = await answered(server, bot, question)
            await server.press(server.thread_messages(thread)[0], "Search again")
        else:
            await server.search(question, private=way.startswith("private"))
        await bot.ended(2 if way == "search again" else 1)
        writes = [
            request for request in server.writes() if "content" in (request.body.get("data") or request.body)
        ]
        posts = [request for request in server.writes("POST") if request.path.endswith("/messages")]

        assert len(writes) > 5
        assert server.previews == []

    assert all(request.body["allowed_mentions"]["parse"] == [] for request in writes)
    assert all(request.body["flags"] & SUPPRESS_EMBEDS for request in posts)
    assert not any("flags" in request.body for request in writes if request.method == "PATCH")
    urls = {url for request in writes for url in re.findall(r"https?://[^\s)>\]]+", request.body["content"])}
    assert {url.split("#")[0] for url in urls} <= SOURCES


async def test_a_replayed_or_repeated_event_gives_one_answer() -> None:
    bot = Bot()
    async with connected(bot) as server:
        thread = await answered(server, bot)
        await server.replay(last=1)
        await server.ask_to_reconnect()
        await until(lambda: server.resumes)
        await server.replay(last=3)
        second = await answered(server, bot, "And what else?")

        assert len(server.thread_messages(thread)) == 2
        assert len(server.thread_messages(second)) == 2
        assert len(server.identifies) == 1


async def test_a_session_that_is_closed_or_resumable_goes_on_without_losing_an_event() -> None:
    bot = Bot()
    async with connected(bot) as server:
        await server.drop(4000)
        await until(lambda: len(server.resumes) == 1)
        await server.invalidate_session(resumable=True)
        await until(lambda: len(server.resumes) == 2)

        thread = await answered(server, bot)

        assert server.thread_messages(thread)


async def test_a_refused_identify_and_a_session_gone_for_good_are_survived() -> None:
    # discord.py waits five seconds before it identifies again, as Discord asks.
    bot = Bot()
    async with connected(bot, refused_identifies=[0]) as server:
        thread = await answered(server, bot)

        assert len(server.identifies) == 2
        assert server.thread_messages(thread)


async def test_edits_follow_the_bucket_and_are_never_refused() -> None:
    bot = Bot()
    bot.world.model = slow_model(300)
    async with connected(bot) as server:
        server.edits = Bucket(limit=5, window_s=0.5)
        thread = await answered(server, bot)

        edits = [
            r for r in server.requests if r.method == "PATCH" and r.path.startswith(f"/channels/{thread}/")
        ]
        assert [edit.status for edit in edits if edit.status != 200] == []
        gaps = [later.at_s - earlier.at_s for earlier, later in itertools.pairwise(edits[:-3])]

    assert len(edits) > 6
    assert 0.08 <= sorted(gaps)[len(gaps) // 2] <= 0.25  # five in half a second


async def test_ten_answers_in_ten_channels_are_each_paced_as_if_alone() -> None:
    async def edits_per_minute(channels: int) -> list[float]:
        """Of each answer, while its text grew."""
        bot = Bot()
        bot.world.model = slow_model(350)
        places = [text_channel(CHANNEL_ID + number) for number in range(channels)]
        async with connected(bot, channels=places, edits=Bucket(limit=5, window_s=1.5)) as server:
            asked = [await server.mention("What raises tides?", channel=int(place["id"])) for place in places]
            await bot.ended(channels)
            return [_edits_per_minute(server, thread) for thread in asked]

    (alone,) = await edits_per_minute(1)
    together = await edits_per_minute(10)

    assert min(together) >= 0.8 * alone


def _edits_per_minute(server: DiscordServer, thread: int) -> float:
    edits = [r.at_s for r in server.writes("PATCH") if r.path.startswith(f"/channels/{thread}/")]
    growing = edits[:-2]  # the last state is drawn at once
    return 60 * (len(growing) - 1) / (growing[-1] - growing[0])


async def test_one_edit_is_in_flight_at_a_time_and_each_shows_more_than_the_last() -> None:
    bot = Bot()
    bot.world.model = slow_model()
    async with connected(bot) as server:
        thread = await answered(server, bot)
        answer = server.thread_messages(thread)[1]
        contents = [r.body["content"] for r in server.writes("PATCH") if r.path.endswith(answer["id"])]

    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(contents))


REFUSALS = [
    Fault(
        method="PATCH",
        path=r"/channels/.*",
        status=429,
        body={"message": "x", "code": 0},
        headers={},
        times=3,
    ),
    Fault(
        method="PATCH",
        path=r"/channels/.*",
        status=429,
        body={"message": "x", "code": 0, "retry_after": 0.05, "global": False},
        times=3,
    ),
    Fault(method="PATCH", path=r"/channels/.*", status=503, times=3),
    Fault(method="PATCH|POST", path=r"/channels/\d+/messages.*", status=0, times=3),
    Fault(
        method="PATCH",
        path=r"/channels/.*",
        status=429,
        body={"message": "Maximum number of edits to messages older than 1 hour reached.", "code": 30046},
    ),
    Fault(method="PATCH", path=r"/channels/.*", status=400, body={"message": "Invalid", "code": 50035}),
]


@pytest.mark.parametrize("fault", REFUSALS, ids=lambda fault: f"{fault.status}-{fault.body.get('code')}")
async def test_a_refused_edit_harms_nothing_and_the_answer_lands(fault: Fault) -> None:
    bot = Bot(clock=FastClock())
    bot.world.model = slow_model(100)
    bot.min_edit_gap_s = 0.5
    async with connected(bot) as server:
        server.faults.append(fault)
        thread = await answered(server, bot)

        opening, *answers = server.thread_messages(thread)
        assert fault.times == 0
        assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]
        assert "word99" in answers[-1]["content"]
        assert "https://a.example/tides" in answers[-1]["content"]


async def test_an_outage_of_twenty_seconds_delays_the_answer_and_loses_nothing() -> None:
    bot = Bot(clock=FastClock())
    bot.world.model = slow_model(50)
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        outage = Fault(method=".*", path=".*", status=503, times=1_000)
        server.faults.append(outage)
        await asyncio.sleep(20 / FastClock.FACTOR)
        server.faults.remove(outage)
        await bot.ended(1)

        opening, answer = server.thread_messages(asked)

    assert "word49" in answer["content"]
    assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]
    assert outage.times < 1_000


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (404, 10008, ""),
        (404, 10003, ""),
        (403, 50013, "I can't answer there: I lack the permission “Send Messages”."),
        (403, 50001, "I can't answer there: I lack the permission “View Channel”."),
        (400, 50083, "The thread was closed or locked before I had finished."),
        (400, 160005, "The thread was closed or locked before I had finished."),
    ],
)
async def test_a_place_lost_in_mid_answer_ends_the_work_and_the_bot_goes_on(
    status: int, code: int, told: str
) -> None:
    bot = Bot()
    model = slow_model(2_000)
    bot.world.model = model
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        lost = Fault(
            method="PATCH", path=rf"/channels/{asked}/.*", status=status, body={"code": code}, times=99
        )
        server.faults.append(lost)
        await bot.ended(1)

        notes = [message["content"] for message in server.thread_messages(900)]
        model.pieces = ["The moon [1]."]
        assert server.thread_messages(await answered(server, bot, "Another?"))

    assert 0 < 99 - lost.times <= 2
    assert [note.startswith(told) for note in notes] == ([True] if told else [])
    assert model.closed == 2


async def test_a_part_that_discord_refuses_is_said_in_one_sentence_and_the_rest_stands() -> None:
    bot = Bot()
    bot.world.model = slow_model(400, pause_s=0.002)
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        answer_id = server.thread_messages(asked)[1]["id"]
        only_short = Fault(
            method="PATCH",
            path=rf".*/{answer_id}",
            status=400,
            body={"code": 50035},
            min_chars=100,
            times=999,
        )
        server.faults.append(only_short)
        await bot.ended(1)

        opening, answer, *rest = server.thread_messages(asked)

    assert answer["content"] == wording.PART_REFUSED
    assert "word399" in rest[-1]["content"]
    assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]


async def test_stop_ends_the_answer_at_once_and_keeps_what_was_written() -> None:
    bot = Bot()
    model = bot.world.model = slow_model(10_000)
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        running, _ = server.thread_messages(asked)
        assert buttons(running) == ["Stop"]
        await server.press(running, "Stop")
        await bot.ended(1)

        opening, answer = server.thread_messages(asked)

    assert answer["content"].startswith("The moon raises them")
    assert "Stopped, as asked." in answer["content"]
    assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]
    assert model.closed


@pytest.mark.parametrize(
    ("by", "told"), [(401, wording.NOT_YOURS_TO_STOP), (402, None)], ids=["other", "admin"]
)
async def test_only_the_asker_and_admins_may_stop(by: int, told: str | None) -> None:
    bot = Bot(policy=Policy(admins=frozenset({AskerId(f"discord:{GUILD_ID}:402")})))
    bot.world.model = slow_model(200)
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        token = await server.press(server.thread_messages(asked)[0], "Stop", by=by)
        await bot.ended(1)

        _, answer = server.thread_messages(asked)
        whispers = [message["content"] for message in server.responses.get(token, {}).values()]

    assert whispers == ([told] if told else [])
    assert ("word199" in answer["content"]) is (told is not None)


async def test_a_stop_left_over_from_before_a_restart_says_that_its_answer_has_ended() -> None:
    bot = Bot()
    bot.world.model = slow_model(10_000)
    async with connected(bot) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        running = dict(server.thread_messages(asked)[0])
    async with connected(Bot()) as server:
        token = await server.press(running, "Stop")
        await until(lambda: token in server.responses)

        assert server.responses[token]["@original"]["content"] == wording.STOPPED_ALREADY
        assert server.responses[token]["@original"]["flags"] & EPHEMERAL


async def test_a_stop_that_reaches_another_process_ends_the_answer_there() -> None:
    store = MemoryStore(SystemClock())
    owner, other = Bot(store=store), Bot(store=store)
    owner.world.model = slow_model(10_000)
    async with connected(owner) as server:
        asked = await server.mention("What raises the tides?")
        await until(lambda: len(server.thread_messages(asked)) == 2)
        shown = dict(server.thread_messages(asked)[0])
        async with connected(other) as elsewhere:
            token = await elsewhere.press(shown, "Stop")
            await until(lambda: token in elsewhere.responses)
            assert elsewhere.responses[token]["@original"]["content"] == wording.STOPPING_ELSEWHERE
        await owner.ended(answers=1)
        assert "Stopped, as asked." in server.thread_messages(asked)[-1]["content"]


async def test_a_message_posted_twice_for_a_broken_connection_stands_there_once() -> None:
    bot = Bot(clock=FastClock())
    async with connected(bot) as server:
        # Discord has taken the message; the bot never hears of it.
        server.faults.append(
            Fault(method="POST", path=r"/channels/\d+/messages", status=0, takes_effect=True, times=2)
        )
        thread = await answered(server, bot)

        opening, answer = server.thread_messages(thread)

    assert opening["content"].startswith("> What raises")
    assert answer["content"].startswith("The moon raises them")


async def test_a_command_shows_the_question_and_answers_in_a_thread_of_its_own_message() -> None:
    bot = Bot()
    bot.world.model = slow_model()
    async with connected(bot) as server:
        token = await server.search("What raises the tides?")
        await bot.ended(1)

        shown = server.responses[token]["@original"]
        opening, answer = server.thread_messages(int(shown["id"]))
        by_token = [request for request in server.writes("PATCH") if "/webhooks/" in request.path]
        deferred = server.writes("POST")[0].body

    assert (deferred["type"], deferred.get("data")) == (5, None)
    assert shown["content"] == "> What raises the tides?"
    assert len(by_token) == 1  # all else by message: the token may die
    assert "word199" in answer["content"]
    assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]


async def test_a_private_answer_is_seen_by_the_asker_alone_and_has_no_previews() -> None:
    bot = Bot()
    bot.world.model = slow_model(600, pause_s=0.002)
    async with connected(bot) as server:
        token = await server.search("What raises the tides?", private=True)
        await bot.ended(1)

        opening, *answers = server.responses[token].values()
        elsewhere = [request for request in server.writes("POST") if request.path.startswith("/channels/")]

    assert server.writes("POST")[0].body == {"type": 5, "data": {"flags": EPHEMERAL}}
    assert elsewhere == []
    assert all(message["flags"] & EPHEMERAL for message in (opening, *answers))
    assert len(answers) > 1
    assert "](<https://a.example/tides" in "".join(message["content"] for message in answers)
    assert server.previews == []
    assert buttons(opening) == ["Search again", "Good answer", "Bad answer"]


async def test_search_again_on_a_private_answer_stays_private() -> None:
    bot = Bot()
    async with connected(bot) as server:
        token = await server.search("What raises the tides?", private=True)
        await bot.ended(1)
        again = await server.press(server.responses[token]["@original"], "Search again")
        await bot.ended(2)

        assert all(message["flags"] & EPHEMERAL for message in server.responses[again].values())
        assert len(server.responses[again]) == 2


async def test_commands_are_told_to_discord_once_and_again_only_when_they_change() -> None:
    def puts(server: DiscordServer) -> int:
        return sum(request.method == "PUT" for request in server.requests)

    bot = Bot()
    async with connected(bot) as server:
        assert puts(server) == 1
        registered = server.commands
        assert [command["name"] for command in registered] == ["search", "Answer this"]
    other = Bot()
    async with connected(other, commands=registered) as server:
        assert puts(server) == 0
    changed = [registered[0] | {"description": "Something else"}, *registered[1:]]
    async with connected(Bot(), commands=changed) as server:
        assert puts(server) == 1
        assert server.commands[0]["description"] == registered[0]["description"]


async def test_who_asks_too_often_and_takes_no_direct_message_is_told_beside_the_message_for_a_moment() -> (
    None
):
    bot = Bot(clock=FastClock())
    bot.world.limiter.refuses_for_s = 12
    async with connected(bot) as server:
        server.faults.append(
            Fault(method="POST", path="/channels/900/messages", status=403, body={"code": 50007}, times=9)
        )
        asked = await server.mention("What raises the tides?")
        await until(lambda: server.thread_messages(CHANNEL_ID))
        (note,) = server.thread_messages(CHANNEL_ID)
        told = next(r.body for r in server.writes("POST") if r.path == f"/channels/{CHANNEL_ID}/messages")
        await bot.ended(1)

        assert "12 seconds" in note["content"]
        assert told["message_reference"]["message_id"] == asked
        assert server.thread_messages(CHANNEL_ID) == server.thread_messages(asked) == []


async def test_search_again_over_the_limit_is_refused_in_private_with_no_answer_begun() -> None:
    bot = Bot()
    async with connected(bot) as server:
        token = await server.search("What raises the tides?", private=True)
        await bot.ended(1)
        bot.world.limiter.refuses_for_s = 12
        again = await server.press(server.responses[token]["@original"], "Search again")
        await until(lambda: again in server.responses)

        (refusal,) = server.responses[again].values()
        assert "12 seconds" in refusal["content"]
        assert refusal["flags"] & EPHEMERAL
        assert bot.running.started == 1
