"""Fetches a page over TLS, in a process of its own; arguments: certificate, key, hosts.

aiohttp reads which certificates to trust once, when it is imported: only a new process can be given
others (SSL_CERT_FILE), and the fetcher needs no opening for tests. Prints a line for each host: the
page, or why there is none.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from core.errors import PageFailed
from core.providers.web.fetcher import WebFetcher
from tests.hostile.fetching import StubLookUp, loopback_fetcher
from tests.hostile.web_server import hostile_server, respond


async def _outcome(fetcher: WebFetcher, url: str) -> str:
    try:
        return (await fetcher.fetch(url)).body.decode()
    except PageFailed as failure:
        return str(failure)


async def _main(certificate: str, key: str, *hosts: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    look_up = StubLookUp({host: [["127.0.0.1"]] for host in hosts})
    async with (
        hostile_server({"/page": respond(b"<p>Plovers")}, tls=context) as server,
        loopback_fetcher(server, look_up=look_up) as fetcher,
    ):
        for host in hosts:
            outcome = await _outcome(fetcher, f"https://{host}:{server.port}/page")
            sys.stdout.write(outcome + "\n")


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
