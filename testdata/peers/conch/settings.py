"""What both roles of Conch are told, and what they have in common."""

import sys

from twisted.internet import reactor
from twisted.python import log

import arguments


class Transport:
    """Goes before a transport of Conch: tells of new keys, and asks for them when it is told to."""

    # What is asked of Conch; set on the class before a connection is made.
    rekey_bytes = None
    sent = 0

    def sendPacket(self, messageType, payload):
        super().sendPacket(messageType, payload)
        self.sent += len(payload)
        if self.rekey_bytes and self.sent > self.rekey_bytes and self.sessionID:
            self.sent = 0
            # Later, because a message may be followed by others that belong to it.
            reactor.callLater(0, self.ask_for_keys)

    def ask_for_keys(self):
        if self._keyExchangeState == self._KEY_EXCHANGE_NONE and self.transport.connected:
            self.sendKexInit()

    def _newKeys(self):
        super()._newKeys()
        arguments.keys_exchanged()


def apply(transport, options):
    """The lists, on the class of a transport. By default Conch offers all that it has."""

    def choose(name, given):
        if given:
            setattr(transport, name, [word.encode() for word in given])

    choose("supportedKeyExchanges", options.kex)
    choose("supportedCiphers", options.ciphers)
    choose("supportedMACs", options.macs)
    transport.rekey_bytes = options.rekey_bytes
    log.startLogging(sys.stderr, setStdout=False)
