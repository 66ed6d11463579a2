"""A bare asyncio server that reads lines of JSON and answers with them: the gateway's floor.

It parses each line and makes a new one of it, as any such server has to; it keeps nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        request = json.loads(line)
        answer = {"event": request["event"], "data": request["data"], "count": 1}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
    writer.close()


async def _main(path: str) -> None:
    server = await asyncio.start_unix_server(_serve, path)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
