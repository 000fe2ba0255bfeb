"""A Paramiko server for tests, which also forwards: see arguments.py."""

import os
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

import paramiko
import arguments
import settings


class Server(paramiko.ServerInterface):
    """Accepts one user, by the keys given."""

    def __init__(self, options, authorized):
        self.options = options
        self.authorized = authorized
        self.targets = {}

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        known = username == self.options.user and key.get_base64() in self.authorized
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_direct_tcpip_request(self, chanid, origin, destination):
        try:
            self.targets[chanid] = socket.create_connection(destination)
        except OSError:
            return paramiko.OPEN_FAILED_CONNECT_FAILED
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=execute, args=(channel, command), daemon=True).start()
        return True


def execute(channel, command):
    child = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    feed = settings.feed
    typing = threading.Thread(
        target=feed, args=(channel.recv, child.stdin.write, child.stdin.close), daemon=True
    )
    outputs = [
        threading.Thread(target=feed, args=(child.stdout.read, channel.sendall)),
        threading.Thread(target=feed, args=(child.stderr.read, channel.sendall_stderr)),
    ]
    for thread in [typing, *outputs]:
        thread.start()
    for thread in outputs:
        thread.join()
    status = child.wait()
    channel.shutdown_write()
    channel.send_exit_status(status if status >= 0 else 128 - status)
    channel.close()


def forward(channel, target):
    """Joins a channel and a connection; ends when both directions have."""
    there = threading.Thread(
        target=settings.feed,
        args=(channel.recv, target.sendall, lambda: target.shutdown(socket.SHUT_WR)),
    )
    there.start()
    settings.feed(target.recv, channel.sendall, channel.shutdown_write)
    there.join()
    channel.close()
    target.close()


def serve(stream, options, keys, authorized):
    transport = paramiko.Transport(stream)
    settings.apply(transport, options)
    for key in keys:
        transport.add_server_key(key)
    server = Server(options, authorized)
    transport.start_server(event=threading.Event(), server=server)
    while transport.is_active():
        channel = transport.accept(1)
        if channel and (target := server.targets.pop(channel.get_id(), None)):
            threading.Thread(target=forward, args=(channel, target), daemon=True).start()


def main():
    options = arguments.of_server()
    if options.user_signatures:
        sys.exit("Paramiko cannot be told what users may sign with")
    settings.log()
    # Without them there is no group exchange.
    paramiko.Transport.load_server_moduli()
    keys = [paramiko.PKey.from_path(file) for file in options.host_key]
    authorized = arguments.blobs(options.authorized_keys)
    listener = socket.create_server(("127.0.0.1", 0))
    print("PORT", listener.getsockname()[1], flush=True)
    arguments.end_with_input()
    while True:
        stream, _ = listener.accept()
        threading.Thread(
            target=serve, args=(stream, options, keys, authorized), daemon=True
        ).start()


main()
