"""An AsyncSSH client for tests: see arguments.py."""

import asyncio
import logging
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

import asyncssh
import arguments
import settings


async def execute(options):
    more = settings.of(options)
    if options.password is not None:
        more["password"] = options.password
    async with asyncssh.connect(
        options.host,
        options.port,
        username=options.user,
        client_keys=options.key or None,
        known_hosts=options.known_hosts,
        agent_path=None,
        config=[],
        server_host_key_algs=options.host_key_algorithms or (),
        **more,
    ) as connection:
        given = sys.stdin.buffer.read()
        if options.tunnel:
            return await through_tunnel(connection, options.tunnel, given)
        result = await connection.run(options.command, input=given, encoding=None)
        sys.stdout.buffer.write(result.stdout)
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(result.stderr)
        return 255 if result.exit_status is None else result.exit_status


async def through_tunnel(connection, target, given):
    """Sends and receives at the same time: an echo stops when nobody takes what comes back."""
    reader, writer = await connection.open_connection(*target)

    async def send():
        writer.write(given)
        await writer.drain()
        writer.write_eof()

    received, _ = await asyncio.gather(reader.read(), send())
    sys.stdout.buffer.write(received)
    sys.stdout.buffer.flush()
    return 0


def main():
    options = arguments.of_client()
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
    asyncssh.set_debug_level(1)
    settings.tell_of_keys()
    try:
        sys.exit(asyncio.run(execute(options)))
    except (asyncssh.Error, OSError) as error:
        print(type(error).__name__, error, file=sys.stderr)
        sys.exit(255)


main()
