"""How long the event loop is kept from other work, told by a clock that other programs don't move."""

import asyncio
import gc
import time


async def longest_stall_cpu_s(done: asyncio.Event) -> float:
    """The most CPU time this thread spent between two turns of one task. (Waiting is none.)

    What earlier tests have left in memory is not looked through by the garbage collector meanwhile.
    """
    longest_s = 0.0
    gc.freeze()
    try:
        while not done.is_set():
            before_s = time.thread_time()
            await asyncio.sleep(0.001)
            longest_s = max(longest_s, time.thread_time() - before_s)
    finally:
        gc.unfreeze()
    return longest_s
