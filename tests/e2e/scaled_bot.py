"""`python -m bot run --demo`, with a journal whose seconds are shorter."""

import asyncio

from bot.memory import keep_memory_flat
from bot.observability import configure_logging
from bot.run import RunLimits, ShutdownLimits, run_bot
from bot.settings import load_settings
from core.delivering.journal import JournalLimits
from core.delivering.recovery import RecoveryLimits

LIMITS = RunLimits(
    shutdown=ShutdownLimits(finish_s=0.5, mark_s=5.0, exit_s=12.0),
    journal=JournalLimits(lease_s=0.6, heartbeat_s=0.2, call_s=5.0),
    recovery=RecoveryLimits(every_s=0.1),
)

if __name__ == "__main__":
    keep_memory_flat()
    settings = load_settings(env_file=None)
    configure_logging(settings)
    asyncio.run(run_bot(settings, demo=True, limits=LIMITS))
