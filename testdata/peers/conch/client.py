"""A Twisted Conch client for tests: see arguments.py."""

import base64
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

from twisted.conch.ssh import channel, common, connection, forwarding, keys, transport, userauth
from twisted.internet import defer, protocol, reactor

import arguments
import settings

PIECE = 32 * 1024


class State:
    """What there is to send, and how it ended."""

    given = b""
    status = 255


class Client(settings.Transport, transport.SSHClientTransport):
    def verifyHostKey(self, host_key, fingerprint):
        if base64.b64encode(host_key).decode() in arguments.blobs(options.known_hosts):
            return defer.succeed(True)
        return defer.fail(ValueError("the host key is another one"))

    def connectionSecure(self):
        # Conch says so after every exchange of keys.
        if not self.service:
            self.requestService(UserAuth(options.user.encode(), Connection()))

    def connectionLost(self, reason=None):
        super().connectionLost(reason)
        if reactor.running:
            reactor.stop()


class UserAuth(userauth.SSHUserAuthClient):
    def getPublicKey(self):
        if not options.key or self.lastAuth == b"publickey":
            return None
        return keys.Key.fromFile(options.key).public()

    def getPrivateKey(self):
        return defer.succeed(keys.Key.fromFile(options.key))

    def getPassword(self, prompt=None):
        if options.password is None or self.lastAuth == b"password":
            return None
        return defer.succeed(options.password.encode())


class Connection(connection.SSHConnection):
    def serviceStarted(self):
        if options.tunnel:
            where = forwarding.packOpen_direct_tcpip(options.tunnel, ("127.0.0.1", 0))
            self.openChannel(Tunnel(conn=self), where)
        else:
            self.openChannel(Session(conn=self))


class Channel(channel.SSHChannel):
    """Sends what it was given as there is room, then an end; says how it ended."""

    taken = 0
    ended = False

    def pump(self):
        if self.buf or self.ended:
            return
        piece = State.given[self.taken : self.taken + PIECE]
        if piece:
            self.taken += len(piece)
            self.write(piece)
            # After whatever has come meanwhile, and what is to be done about it.
            reactor.callLater(0, self.pump)
        else:
            self.ended = True
            self.conn.sendEOF(self)

    def addWindowBytes(self, n):
        super().addWindowBytes(n)
        self.pump()

    def openFailed(self, reason):
        print("the channel is not opened:", reason, file=sys.stderr)
        self.conn.transport.loseConnection()

    def dataReceived(self, data):
        sys.stdout.buffer.write(data)

    def extReceived(self, kind, data):
        sys.stderr.buffer.write(data)

    def closed(self):
        self.conn.transport.loseConnection()


class Session(Channel):
    name = b"session"

    def channelOpen(self, data):
        asked = self.conn.sendRequest(
            self, b"exec", common.NS(options.command.encode()), wantReply=True
        )
        asked.addCallbacks(lambda _: self.pump(), self.openFailed)

    def request_exit_status(self, data):
        (State.status,) = struct.unpack(">L", data)
        return True


class Tunnel(Channel):
    name = b"direct-tcpip"

    def channelOpen(self, data):
        State.status = 0
        self.pump()

    def eofReceived(self):
        self.loseConnection()


options = arguments.of_client()
settings.apply(Client, options)
if options.host_key_algorithms:
    Client.supportedPublicKeys = [name.encode() for name in options.host_key_algorithms]
State.given = sys.stdin.buffer.read()
protocol.ClientCreator(reactor, Client).connectTCP(options.host, options.port)
reactor.run()
sys.stdout.buffer.flush()
sys.stderr.flush()
os._exit(State.status)
