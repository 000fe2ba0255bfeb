"""An AsyncSSH server for tests, which also serves SFTP and forwards: see arguments.py."""

import asyncio
import logging
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

import asyncssh
import arguments
import settings


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


async def serve(options):
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
        signature_algs=options.user_signatures or (),
        **settings.of(options),
    )
    print("PORT", server.get_port(), flush=True)
    await server.wait_closed()


def main():
    options = arguments.of_server()
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
    asyncssh.set_debug_level(1)
    settings.tell_of_keys()
    arguments.end_with_input()
    asyncio.run(serve(options))


main()
