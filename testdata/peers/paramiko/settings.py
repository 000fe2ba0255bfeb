"""What both roles of Paramiko are told, and what they have in common."""

import logging
import sys
import time

import arguments


def apply(transport, options):
    """The lists, and when to exchange keys."""

    def choose(name, given, known):
        if given or options.everything:
            setattr(transport, name, tuple(given or known))

    choose("_preferred_kex", options.kex, transport._kex_info)
    choose("_preferred_ciphers", options.ciphers, transport._cipher_info)
    choose("_preferred_macs", options.macs, transport._mac_info)
    choose("_preferred_compression", None, transport._compression_info)
    if options.rekey_bytes:
        transport.packetizer.REKEY_BYTES = options.rekey_bytes
        KeysExchanged.limited.append(transport.packetizer)


def feed(read, write, end=lambda: None):
    """Copies until the end. That nobody takes the rest is no error."""
    try:
        while data := read(32768):
            write(data)
        end()
    except OSError:
        pass


def exchange_enough_keys(transport):
    """Returns when that is done, and no exchange that this side asks for is under way or to come."""
    packetizer = transport.packetizer
    if packetizer not in KeysExchanged.limited:
        return
    packetizer.REKEY_BYTES = 1 << 62
    packetizer._Packetizer__need_rekey = False
    # The thread that reads may have seen just before that there is need.
    time.sleep(0.05)
    while transport.in_kex and transport.is_active():
        time.sleep(0.01)
    while KeysExchanged.seen < KeysExchanged.ENOUGH:
        transport.renegotiate_keys()


class KeysExchanged(logging.Handler):
    """Paramiko logs that it switches to new keys for what it receives, once for every exchange.

    After so many exchanges it asks for no more, and a client does not either when it sends the last of its
    data: when it waits for one and the peer closes a channel, the thread that reads waits for itself.
    """

    ENOUGH = 4
    seen = 0
    limited = []

    def emit(self, record):
        if record.getMessage().startswith("Switch to new keys"):
            arguments.keys_exchanged()
            KeysExchanged.seen += 1
            if self.seen == self.ENOUGH:
                for packetizer in self.limited:
                    packetizer.REKEY_BYTES = 1 << 62


def log():
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
    logging.getLogger("paramiko").addHandler(KeysExchanged())
