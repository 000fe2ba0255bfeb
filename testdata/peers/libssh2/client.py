"""A libssh2 client for tests, by the package ssh2-python: see arguments.py. It cannot tell of new keys."""

import base64
import os
import select
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

from ssh2 import session as ssh2
from ssh2.error_codes import LIBSSH2_ERROR_EAGAIN
from ssh2.exceptions import SSH2Error

import arguments

PIECE = 32 * 1024

# What libssh2 offers and OpenSSL 3 has only with its provider `legacy`, which the package lacks.
ABSENT = {"blowfish-cbc", "cast128-cbc", "arcfour", "arcfour128"}


class Refused(Exception):
    pass


def lists(session, options):
    """What it has by default is not all, for some of it is known to be weak."""

    def choose(methods, given):
        if given or options.everything:
            names = given or [n for n in session.supported_algs(methods[0]) if n not in ABSENT]
            for method in methods:
                session.method_pref(method, ",".join(names))

    choose([ssh2.LIBSSH2_METHOD_KEX], options.kex)
    choose([ssh2.LIBSSH2_METHOD_CRYPT_CS, ssh2.LIBSSH2_METHOD_CRYPT_SC], options.ciphers)
    choose([ssh2.LIBSSH2_METHOD_MAC_CS, ssh2.LIBSSH2_METHOD_MAC_SC], options.macs)
    choose([ssh2.LIBSSH2_METHOD_HOSTKEY], options.host_key_algorithms)


def move(session, stream, channel, given):
    """Sends and receives at the same time, on one thread: it has no locks."""
    session.set_blocking(False)
    given = memoryview(given)
    told = False
    while not channel.eof():
        moved = 0
        if given:
            # It may have to wait, and have taken something all the same.
            _, n = channel.write(bytes(given[:PIECE]))
            given = given[n:]
            moved += n
        elif not told:
            told = channel.send_eof() != LIBSSH2_ERROR_EAGAIN
        for read, out in [(channel.read, sys.stdout), (channel.read_stderr, sys.stderr)]:
            n, data = read(PIECE)
            if n > 0:
                out.buffer.write(data)
                moved += n
        if not moved:
            ways = session.block_directions()
            writing = [stream] if ways & ssh2.LIBSSH2_SESSION_BLOCK_OUTBOUND else []
            select.select([stream], writing, [], 1)
    session.set_blocking(True)


def run(options, given):
    stream = socket.create_connection((options.host, options.port))
    session = ssh2.Session()
    lists(session, options)
    session.handshake(stream)
    host_key, _ = session.hostkey()
    if base64.b64encode(host_key).decode() not in arguments.blobs(options.known_hosts):
        raise Refused("the host key is another one")
    if options.password is not None:
        session.userauth_password(options.user, options.password)
    else:
        session.userauth_publickey_fromfile(options.user, options.key)
    if options.tunnel:
        channel = session.direct_tcpip(*options.tunnel)
    else:
        channel = session.open_session()
        channel.execute(options.command)
    move(session, stream, channel, given)
    channel.close()
    channel.wait_closed()
    sys.stdout.buffer.flush()
    sys.stderr.flush()
    return 0 if options.tunnel else channel.get_exit_status()


def main():
    options = arguments.of_client()
    if options.rekey_bytes or options.rekey_seconds:
        sys.exit("libssh2 cannot be told to exchange keys")
    given = sys.stdin.buffer.read()
    try:
        sys.exit(run(options, given))
    except (SSH2Error, OSError, Refused) as error:
        print(type(error).__name__, error, file=sys.stderr)
        sys.exit(255)


main()
