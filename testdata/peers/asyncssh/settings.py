"""What both roles of AsyncSSH are told."""

import logging

from asyncssh.compression import get_compression_algs
from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs

import arguments


def of(options):
    """The lists, and when to exchange keys. An empty list is the default."""

    def choose(given, known):
        # Those of GSS need a Kerberos that is not there.
        every = [name.decode() for name in known if not name.startswith(b"gss-")]
        return given or (every if options.everything else ())

    chosen = {
        "kex_algs": choose(options.kex, get_kex_algs()),
        "encryption_algs": choose(options.ciphers, get_encryption_algs()),
        "mac_algs": choose(options.macs, get_mac_algs()),
        "compression_algs": choose(None, get_compression_algs()),
    }
    if options.rekey_bytes:
        chosen["rekey_bytes"] = options.rekey_bytes
    if options.rekey_seconds:
        chosen["rekey_seconds"] = options.rekey_seconds
    return chosen


class KeysExchanged(logging.Handler):
    """AsyncSSH logs an exchange of keys when it has ended."""

    def emit(self, record):
        if "Completed key exchange" in record.getMessage():
            arguments.keys_exchanged()


def tell_of_keys():
    logging.getLogger("asyncssh").addHandler(KeysExchanged())
