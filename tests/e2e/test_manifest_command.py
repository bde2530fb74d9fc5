import yaml

from tests.e2e.test_commands import run


async def test_the_manifest_is_printed_for_another_name_and_a_reserved_one_is_warned_of() -> None:
    good, reserved = await run("manifest", "--command", "ask"), await run("manifest", "--command", "search")

    assert (good.code, good.errors) == (0, "")
    assert yaml.safe_load(good.output)["features"]["slash_commands"][0]["command"] == "/ask"
    assert reserved.code == 1
    assert "search" in reserved.errors
