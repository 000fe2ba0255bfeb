"""A Twisted Conch server for tests, which also forwards: see arguments.py."""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../python")]

from twisted.conch import avatar, checkers, interfaces
from twisted.conch.openssh_compat.primes import parseModuliFile
from twisted.conch.ssh import connection, factory, forwarding, keys, session, transport, userauth
from twisted.cred import portal
from twisted.internet import reactor
from twisted.python import components
from zope.interface import implementer

import arguments
import settings


class User(avatar.ConchUser):
    def __init__(self):
        super().__init__()
        self.channelLookup[b"session"] = session.SSHSession
        self.channelLookup[b"direct-tcpip"] = connect


class Forward(forwarding.SSHConnectForwardingChannel):
    """With the half-close that Conch's own lacks."""

    over = False

    def eofReceived(self):
        self.over = True
        if self.client:
            self.client.transport.loseWriteConnection()

    def _setClient(self, client):
        super()._setClient(client)
        if self.over:
            client.transport.loseWriteConnection()


def connect(remoteWindow, remoteMaxPacket, data, avatar):
    target, _ = forwarding.unpackOpen_direct_tcpip(data)
    return Forward(
        target, remoteWindow=remoteWindow, remoteMaxPacket=remoteMaxPacket, avatar=avatar
    )


@implementer(interfaces.ISession)
class Session:
    """Runs commands with pipes."""

    process = None

    def __init__(self, user):
        pass

    def execCommand(self, protocol, command):
        shell = "/bin/sh"
        self.process = reactor.spawnProcess(
            protocol, shell, [shell, "-c", command], env=dict(os.environ)
        )

    def eofReceived(self):
        if self.process:
            self.process.closeStdin()

    def closed(self):
        pass

    def getPty(self, term, size, modes):
        raise NotImplementedError

    def openShell(self, protocol):
        raise NotImplementedError

    def windowChanged(self, size):
        pass


components.registerAdapter(Session, User, interfaces.ISession)


@implementer(portal.IRealm)
class Realm:
    def requestAvatar(self, user, mind, *wanted):
        return wanted[0], User(), lambda: None


class Server(settings.Transport, transport.SSHServerTransport):
    pass


class Factory(factory.SSHFactory):
    protocol = Server
    services = {
        b"ssh-userauth": userauth.SSHUserAuthServer,
        b"ssh-connection": connection.SSHConnection,
    }

    def __init__(self, options):
        host_keys = [keys.Key.fromFile(file) for file in options.host_key]
        self.privateKeys = {key.sshType(): key for key in host_keys}
        self.publicKeys = {kind: key.public() for kind, key in self.privateKeys.items()}
        with open(options.authorized_keys, "rb") as lines:
            of_user = list(checkers.readAuthorizedKeyFile(lines))
        authorized = checkers.InMemorySSHKeyDB({options.user.encode(): of_user})
        self.portal = portal.Portal(Realm(), [checkers.SSHPublicKeyChecker(authorized)])

    def getPrimes(self):
        # Without them there is no group exchange.
        try:
            return parseModuliFile("/etc/ssh/moduli")
        except OSError:
            return None

    def buildProtocol(self, address):
        server = super().buildProtocol(address)
        # Conch offers what it knows, whether there is such a key or not.
        kinds = set(self.publicKeys)
        if b"ssh-rsa" in kinds:
            kinds |= {b"rsa-sha2-256", b"rsa-sha2-512"}
        server.supportedPublicKeys = [k for k in server.supportedPublicKeys if k in kinds]
        return server


def main():
    options = arguments.of_server()
    if options.user_signatures:
        sys.exit("Conch cannot be told what users may sign with")
    settings.apply(Server, options)
    port = reactor.listenTCP(0, Factory(options), interface="127.0.0.1")
    print("PORT", port.getHost().port, flush=True)
    arguments.end_with_input()
    reactor.run()


main()
