"""An AsyncSSH client for tests: one command, its input from ours, its output to ours.

With --tunnel HOST:PORT it has the server connect there instead, and the command is not used.
Exits with the status of the command, with 255 when there was no session. Logs to standard error.
"""

import argparse
import asyncio
import logging
import os
import sys

import asyncssh


async def execute(options):
    settings = {}
    if options.rekey_bytes:
        settings["rekey_bytes"] = options.rekey_bytes
    if options.rekey_seconds:
        settings["rekey_seconds"] = options.rekey_seconds
    if options.password is not None:
        settings["password"] = options.password
    async with asyncssh.connect(
        options.host,
        options.port,
        username=options.user,
        client_keys=options.key or None,
        known_hosts=options.known_hosts,
        agent_path=None,
        config=[],
        kex_algs=options.kex or (),
        encryption_algs=options.ciphers or (),
        mac_algs=options.macs or (),
        server_host_key_algs=options.host_key_algorithms or (),
        **settings,
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
    host, port = target.rsplit(":", 1)
    reader, writer = await connection.open_connection(host, int(port))

    async def send():
        writer.write(given)
        await writer.drain()
        writer.write_eof()

    received, _ = await asyncio.gather(reader.read(), send())
    sys.stdout.buffer.write(received)
    sys.stdout.buffer.flush()
    return 0


def names(text):
    return text.split(",")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key")
    parser.add_argument("--known-hosts", required=True)
    parser.add_argument("--kex", type=names)
    parser.add_argument("--host-key-algorithms", type=names)
    parser.add_argument("--ciphers", type=names)
    parser.add_argument("--macs", type=names)
    parser.add_argument("--rekey-bytes")
    parser.add_argument("--rekey-seconds")
    parser.add_argument("--tunnel")
    parser.add_argument("command")
    options = parser.parse_args()
    options.password = os.environ.get("ASYNCSSH_PASSWORD")
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
    asyncssh.set_debug_level(1)
    try:
        sys.exit(asyncio.run(execute(options)))
    except (asyncssh.Error, OSError) as error:
        print(type(error).__name__, error, file=sys.stderr)
        sys.exit(255)


main()
