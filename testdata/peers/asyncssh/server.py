"""An AsyncSSH server for tests: executes commands with /bin/sh, serves SFTP, forwards.

Listens on 127.0.0.1 and a port of the system's choice, which it prints as `PORT n` on standard
output. Ends when its standard input does, so that it never outlives the test.
"""

import argparse
import asyncio
import logging
import os
import sys

import asyncssh


class Server(asyncssh.SSHServer):
    """Accepts one user, by the keys given or by a password; grants every forwarding."""

    def __init__(self, options):
        self.options = options

    def password_auth_supported(self):
        return self.options.password is not None

    def validate_password(self, username, password):
        return username == self.options.user and password == self.options.password

    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return True

    def server_requested(self, listen_host, listen_port):
        return True


async def feed(reader, writer):
    """Copies until the end, and stops reading while nobody takes what was written."""
    while data := await reader.read(32768):
        writer.write(data)
        await writer.drain()


async def type_in(process, child):
    """Gives a command its input. That it does not read all of it is no error."""
    try:
        await feed(process.stdin, child.stdin)
    except (BrokenPipeError, ConnectionResetError):
        pass
    child.stdin.close()


async def execute(process):
    """Runs the command that was asked for, with all three streams joined.

    Not by `redirect`: in 2.24 it reads the same stream twice at a time when the client is slow.
    """
    shell = ["/bin/sh"] + (["-c", process.command] if process.command else [])
    child = await asyncio.create_subprocess_exec(
        *shell,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    typing = asyncio.create_task(type_in(process, child))
    # The end of the output first, then the status.
    await asyncio.gather(feed(child.stdout, process.stdout), feed(child.stderr, process.stderr))
    status = await child.wait()
    typing.cancel()
    if status < 0:
        process.exit_with_signal("KILL" if status == -9 else "TERM")
    else:
        process.exit(status)


async def input_ends():
    """Returns when the test is gone."""
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, os.read, 0, 4096):
        pass


async def serve(options):
    settings = {}
    if options.rekey_bytes:
        settings["rekey_bytes"] = options.rekey_bytes
    if options.rekey_seconds:
        settings["rekey_seconds"] = options.rekey_seconds
    server = await asyncssh.create_server(
        lambda: Server(options),
        "127.0.0.1",
        0,
        server_host_keys=options.host_key,
        authorized_client_keys=options.authorized_keys,
        process_factory=execute,
        sftp_factory=True,
        encoding=None,
        config=[],
        kex_algs=options.kex or (),
        encryption_algs=options.ciphers or (),
        mac_algs=options.macs or (),
        signature_algs=options.host_key_algorithms or (),
        **settings,
    )
    print("PORT", server.get_port(), flush=True)
    await input_ends()
    server.close()


def names(text):
    return text.split(",")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", required=True)
    parser.add_argument("--password")
    parser.add_argument("--authorized-keys", required=True)
    parser.add_argument("--host-key", action="append", required=True)
    parser.add_argument("--kex", type=names)
    parser.add_argument("--host-key-algorithms", type=names)
    parser.add_argument("--ciphers", type=names)
    parser.add_argument("--macs", type=names)
    parser.add_argument("--rekey-bytes")
    parser.add_argument("--rekey-seconds")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
    asyncssh.set_debug_level(1)
    asyncio.run(serve(options))
    # The reader of standard input is a thread that may still wait; nothing is left to do.
    sys.stderr.flush()
    os._exit(0)


main()
