//! Diffie-Hellman in a group that the server chooses (RFC 4419, with the sizes of RFC 8270).
//!
//! The server answers a REQUEST with the smallest group that is as large as the client prefers, or
//! else the largest there is, within what both sides take ([`GroupExchange`](crate::config)). The
//! form of the request without a range is refused at the gate.

use alloc::vec::Vec;

use super::{Agreed, Answer, Exchanged, Expect, Next};
use crate::config::{DhGroup, GroupExchange};
use crate::crypto::agree::dh::groups::{self, Named};
use crate::crypto::agree::dh::{self, Ephemeral, Group};
use crate::error::{Error, KeyExchangeError};
use crate::kex::{INTERNAL, Kex};
use crate::message::number::{
    SSH_MSG_KEX_DH_GEX_GROUP, SSH_MSG_KEX_DH_GEX_INIT, SSH_MSG_KEX_DH_GEX_REPLY,
    SSH_MSG_KEX_DH_GEX_REQUEST,
};
use crate::message::{KexDhGexGroup, KexDhGexInit, KexDhGexReply, KexDhGexRequest, Wire};
use crate::out::Out;
use crate::random::Purpose;
use crate::wire::Mpint;

impl GroupExchange {
    /// What a client asks for.
    pub(super) const fn request(&self) -> KexDhGexRequest {
        KexDhGexRequest {
            min: self.min,
            n: self.preferred,
            max: self.max,
        }
    }

    /// What a server answers. Of several groups of the size `pick` takes one, given how many there are.
    //= rfc4419#section-3
    //# The server should return the smallest group it knows that is larger than the size the client
    //# requested. If the server does not know a group that is larger than the client request, then
    //# it SHOULD return the largest group it knows.
    fn choose(
        &self,
        asked: KexDhGexRequest,
        pick: impl FnOnce(usize) -> usize,
    ) -> Option<Candidate<'_>> {
        let sense = asked.min <= asked.n && asked.n <= asked.max;
        let range = asked.min.max(self.min)..=asked.max.min(self.max);
        let all = || {
            let named = NAMED.iter().copied().map(Candidate::Named);
            let given = self.groups.iter().map(Candidate::Given);
            named
                .chain(given)
                .filter(|group| sense && range.contains(&group.bits()))
        };
        let sizes = || all().map(Candidate::bits);
        let enough = sizes().filter(|bits| *bits >= asked.n).min();
        let best = enough.or_else(|| sizes().max())?;
        let best = || all().filter(|group| group.bits() == best);
        best().nth(pick(best().count()))
    }
}

/// The groups of RFC 3526 that are large enough.
const NAMED: [Named; 5] = [
    groups::GROUP_14,
    groups::GROUP_15,
    groups::GROUP_16,
    groups::GROUP_17,
    groups::GROUP_18,
];

/// A group that a server may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidate<'a> {
    Named(Named),
    Given(&'a DhGroup),
}

impl Candidate<'_> {
    fn bits(self) -> u32 {
        match self {
            Self::Named(named) => named.bits,
            Self::Given(group) => group.bits(),
        }
    }

    fn group(self) -> Result<Group, Error> {
        match self {
            Self::Named(named) => Group::named(named),
            Self::Given(group) => Group::new(group.p(), group.g()),
        }
        .map_err(|_| INTERNAL)
    }
}

/// Server: waits for what the client asks for.
#[derive(Debug)]
pub(in crate::kex) struct ExpectRequest {
    pub(super) agreed: Agreed,
}

impl ExpectRequest {
    pub(super) const NUMBER: u8 = SSH_MSG_KEX_DH_GEX_REQUEST;

    pub(super) fn handle(self, payload: &[u8], kex: &Kex, out: &mut Out) -> Result<Next, Error> {
        let asked = KexDhGexRequest::decode(payload)?;
        let any = |count: usize| {
            let mut random = [0; 8];
            out.streams.fill(Purpose::Kex, &mut random);
            let random = u64::from_be_bytes(random) % (count.max(1) as u64);
            usize::try_from(random).unwrap_or(0)
        };
        let chosen = kex.config.group_exchange.choose(asked, any);
        let group = chosen.ok_or(KeyExchangeError::GroupRequest)?.group()?;
        out.transport(&KexDhGexGroup {
            p: group.p(),
            g: group.g(),
        });
        Ok(Next::Expect(Expect::GroupInit(ExpectGroupInit {
            agreed: self.agreed,
            asked,
            group,
        })))
    }
}

/// Server: waits for the client's value.
#[derive(Debug)]
pub(in crate::kex) struct ExpectGroupInit {
    agreed: Agreed,
    asked: KexDhGexRequest,
    group: Group,
}

impl ExpectGroupInit {
    pub(super) const NUMBER: u8 = SSH_MSG_KEX_DH_GEX_INIT;

    pub(super) fn handle(self, payload: &[u8], kex: &Kex, out: &mut Out) -> Result<Next, Error> {
        let Self {
            agreed: Agreed { terms, transcript },
            asked,
            group,
        } = self;
        let e = KexDhGexInit::decode(payload)?.e.as_unsigned();
        let (f, shared) =
            dh::respond(&group, e, &mut out.streams).map_err(|_| KeyExchangeError::PublicValue)?;
        let host_key = kex.own_host_key(&terms)?.blob();
        let transcript = transcript.group_exchange(host_key, asked, &group, [e, &f]);
        let exchanged = Exchanged::new(terms, transcript, shared);
        Ok(Next::Sign(exchanged, Answer::GroupExchange(f)))
    }
}

/// Client: waits for the group.
#[derive(Debug)]
pub(in crate::kex) struct ExpectGroup {
    pub(super) agreed: Agreed,
    pub(super) asked: KexDhGexRequest,
}

impl ExpectGroup {
    pub(super) const NUMBER: u8 = SSH_MSG_KEX_DH_GEX_GROUP;

    //= rfc8270#section-3
    //# This document changes the minimum size ... to 2048 bits
    pub(super) fn handle(self, payload: &[u8], out: &mut Out) -> Result<Next, Error> {
        let Self { agreed, asked } = self;
        let KexDhGexGroup { p, g } = KexDhGexGroup::decode(payload)?;
        let bits = u32::try_from(p.bits()).unwrap_or(u32::MAX);
        if !(asked.min..=asked.max).contains(&bits) {
            return Err(KeyExchangeError::Group.into());
        }
        let group =
            Group::new(p.as_unsigned(), g.as_unsigned()).map_err(|_| KeyExchangeError::Group)?;
        let (public, private) =
            Ephemeral::generate(&group, &mut out.streams).map_err(|_| INTERNAL)?;
        out.transport(&KexDhGexInit {
            e: Mpint::from_unsigned(&public),
        });
        Ok(Next::Expect(Expect::GroupReply(ExpectGroupReply {
            agreed,
            asked,
            group,
            public,
            private,
        })))
    }
}

/// Client: waits for the server's value, its host key and its signature.
#[derive(Debug)]
pub(in crate::kex) struct ExpectGroupReply {
    agreed: Agreed,
    asked: KexDhGexRequest,
    group: Group,
    public: Vec<u8>,
    private: Ephemeral,
}

impl ExpectGroupReply {
    pub(super) const NUMBER: u8 = SSH_MSG_KEX_DH_GEX_REPLY;

    pub(super) fn handle(self, payload: &[u8]) -> Result<Next, Error> {
        let Self {
            agreed,
            asked,
            group,
            public,
            private,
        } = self;
        let reply = KexDhGexReply::decode(payload)?;
        let key = agreed.host_key(reply.host_key)?;
        let Agreed { terms, transcript } = agreed;
        let f = reply.f.as_unsigned();
        let shared = private
            .agree(&group, f)
            .map_err(|_| KeyExchangeError::PublicValue)?;
        let transcript = transcript.group_exchange(reply.host_key, asked, &group, [&public, f]);
        Exchanged::new(terms, transcript, shared).proven(key, reply.signature)
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use super::*;

    fn of(bits: u32) -> DhGroup {
        let mut p = alloc::vec![0; (bits as usize).div_ceil(8)];
        p[0] = 1 << ((bits - 1) % 8);
        *p.last_mut().unwrap() |= 1;
        DhGroup::new(&p, &[2]).unwrap()
    }

    /// Of how many groups one was picked, and of which size.
    fn chosen(given: &[u32], [min, n, max]: [u32; 3]) -> Option<(usize, u32)> {
        let sizes = GroupExchange {
            groups: given.iter().copied().map(of).collect(),
            ..GroupExchange::default()
        };
        let mut count = 0;
        let asked = KexDhGexRequest { min, n, max };
        let group = sizes.choose(asked, |of| {
            count = of;
            of - 1
        });
        group.map(|group| (count, group.bits()))
    }

    #[test]
    fn k4_a_server_chooses_the_smallest_that_is_large_enough_or_else_the_largest() {
        for (given, asked, answer) in [
            (&[][..], [2048, 3072, 8192], Some((1, 3072))),
            (&[2500, 2400], [2048, 2049, 8192], Some((1, 2400))),
            (&[2500, 2400], [2048, 2401, 8192], Some((1, 2500))),
            (&[2500, 2400], [2048, 2501, 8192], Some((1, 3072))),
            (&[2500, 2400], [2100, 2900, 2999], Some((1, 2500))),
            (&[3072, 3072, 3071], [2048, 3072, 8192], Some((3, 3072))),
            (&[8191], [8192, 8192, 8192], Some((1, 8192))),
            // None outside of what is set, whatever is given and asked.
            (&[1024, 1536], [1024, 1024, 8192], Some((1, 2048))),
            (&[1024, 1536], [1024, 1024, 2000], None),
        ] {
            assert_eq!(chosen(given, asked), answer, "{given:?} {asked:?}");
        }
    }

    #[test]
    fn k4_of_several_groups_of_a_size_each_can_be_chosen() {
        let groups: Arc<[DhGroup]> = [of(3072), of(2048)].into();
        let sizes = GroupExchange {
            groups: groups.clone(),
            ..GroupExchange::default()
        };
        let asked = KexDhGexRequest {
            min: 2048,
            n: 3000,
            max: 8192,
        };
        let all: Vec<_> = (0..2).map(|at| sizes.choose(asked, |_| at)).collect();
        let expected = [
            Candidate::Named(groups::GROUP_15),
            Candidate::Given(&groups[0]),
        ];
        assert_eq!(all, expected.map(Some));
    }
}
