"""A Paramiko client for tests: see arguments.py."""

import os
import socket
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

import paramiko
import arguments
import settings


def run(transport, options, given):
    if options.tunnel:
        channel = transport.open_channel("direct-tcpip", options.tunnel, ("127.0.0.1", 0))
    else:
        channel = transport.open_session()
        channel.exec_command(options.command)
    out = sys.stdout.buffer
    err = sys.stderr.buffer

    def piece(n):
        data, taken = given
        if taken + n >= len(data):
            # The peer closes the channel when it has the last one, at the earliest.
            settings.exchange_enough_keys(transport)
        given[1] = taken + n
        return data[taken : taken + n]

    threads = [
        threading.Thread(
            target=settings.feed,
            args=(piece, channel.sendall, channel.shutdown_write),
        ),
        threading.Thread(target=settings.feed, args=(channel.recv, out.write, out.flush)),
        threading.Thread(target=settings.feed, args=(channel.recv_stderr, err.write, err.flush)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if options.tunnel:
        return 0
    status = channel.recv_exit_status()
    return 255 if status < 0 else status


def main():
    options = arguments.of_client()
    settings.log()
    given = [sys.stdin.buffer.read(), 0]
    transport = None
    try:
        stream = socket.create_connection((options.host, options.port))
        transport = paramiko.Transport(stream)
        settings.apply(transport, options)
        if options.host_key_algorithms:
            transport._preferred_keys = tuple(options.host_key_algorithms)
        transport.start_client(timeout=30)
        if transport.get_remote_server_key().get_base64() not in arguments.blobs(
            options.known_hosts
        ):
            raise paramiko.SSHException("the host key is another one")
        if options.password is not None:
            transport.auth_password(options.user, options.password)
        else:
            transport.auth_publickey(options.user, paramiko.PKey.from_path(options.key))
        status = run(transport, options, given)
    except (paramiko.SSHException, OSError, EOFError) as error:
        print(type(error).__name__, error, file=sys.stderr)
        status = 255
    finally:
        if transport:
            transport.close()
    sys.exit(status)


main()
