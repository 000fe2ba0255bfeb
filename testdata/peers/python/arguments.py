"""What the programs around Python libraries have in common: their arguments, and how a server ends.

A server listens on 127.0.0.1 and a port of the system's choice, which it prints as `PORT n` on
standard output, executes commands with /bin/sh, and ends when its standard input does, so that it never
outlives the test. A client executes one command, its input from ours and its output to ours, and exits
with the status of the command, or with 255 when there was none. Whoever has new keys in use writes
KEYS_EXCHANGED to standard error.
"""

import argparse
import os
import sys
import threading

KEYS_EXCHANGED = "[keys exchanged]"


def names(text):
    return text.split(",")


def common(parser):
    """The lists of algorithms. Those that are not given are the library's own, or all that it has."""
    parser.add_argument("--user", required=True)
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--kex", type=names)
    parser.add_argument("--host-key-algorithms", type=names)
    parser.add_argument("--ciphers", type=names)
    parser.add_argument("--macs", type=names)
    parser.add_argument("--rekey-bytes", type=int)
    parser.add_argument("--rekey-seconds", type=int)


def of_server():
    parser = argparse.ArgumentParser()
    common(parser)
    parser.add_argument("--password")
    parser.add_argument("--authorized-keys", required=True)
    parser.add_argument("--host-key", action="append", required=True)
    parser.add_argument("--user-signatures", type=names)
    return parser.parse_args()


def of_client():
    parser = argparse.ArgumentParser()
    common(parser)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key")
    parser.add_argument("--known-hosts", required=True)
    parser.add_argument("--tunnel")
    parser.add_argument("command")
    options = parser.parse_args()
    options.password = os.environ.get("SSH_TEST_PASSWORD")
    if options.tunnel:
        host, port = options.tunnel.rsplit(":", 1)
        options.tunnel = (host, int(port))
    return options


def blobs(file):
    """The keys in a file of authorized keys or known hosts, in base64: what begins as all do."""
    with open(file) as lines:
        return {word for line in lines for word in line.split() if word.startswith("AAAA")}


def keys_exchanged():
    print(KEYS_EXCHANGED, file=sys.stderr, flush=True)


def end_with_input():
    """Ends this process when its standard input ends: the test is gone."""

    def wait():
        while os.read(0, 4096):
            pass
        sys.stderr.flush()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()
