//! What a login costs either role, beside the operations that it cannot do without.
//!
//! A login is everything from the first byte to `Authenticated`: `mlkem768x25519-sha256`, an
//! Ed25519 host key, an Ed25519 user key. Both roles run in one thread and are timed apart; then
//! the operations of both are done bare, with the same crates. So 200 times, and medians.

use std::hint::black_box;

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use ml_kem::{Decapsulate, DecapsulationKey, Encapsulate, EncapsulationKey, KeyExport, MlKem768};
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest, Sha256};
use ssh_testkit::rng::SeededRandom;

use super::pair::{Ends, Protection, Setup};
use super::{median, quantile, time};

const RUNS: usize = 200;
/// V_C, V_S, I_C, I_S, K_S, C_INIT, S_REPLY, K: what the exchange hash takes in, in bytes.
const EXCHANGE: usize = 3600;
/// What a derived key is the hash of: K, H, a letter, and the session identifier.
const DERIVED: usize = 36 + 32 + 1 + 32;
/// What a user signs.
static REQUEST: [u8; 180] = [7; 180];

pub(crate) fn table() {
    let setup = Setup::new(Protection::AES128_GCM).login_only();
    let mut materials = Materials::new();
    let (mut ours, mut bare) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..RUNS {
        let [client, server] = login(&setup);
        ours[0].push(client);
        ours[1].push(server);
        bare[0].push(time(|| materials.client()));
        bare[1].push(time(|| materials.server()));
    }
    println!("\nCPU of a login, microseconds, median of {RUNS} (quartiles)\n");
    println!("| role | login | its operations bare | ratio |");
    println!("|---|---|---|---|");
    for (role, (ours, bare)) in ["client", "server"].iter().zip(ours.iter().zip(&bare)) {
        let ratio = median(ours) / median(bare);
        println!(
            "| {role} | {} | {} | {ratio:.2} |",
            spread(ours),
            spread(bare)
        );
    }
}

pub(crate) fn spread(nanos: &[f64]) -> String {
    let at = |part| quantile(nanos.iter().copied(), part) / 1000.0;
    format!("{:.0} ({:.0}-{:.0})", at(0.5), at(0.25), at(0.75))
}

/// One login: what it took the client, and the server, in nanoseconds.
pub(crate) fn login(setup: &Setup) -> [f64; 2] {
    let mut ends = Ends::new(setup.clone());
    let [mut client, mut server] = [0.0; 2];
    while !ends.is_authenticated() {
        client += time(|| {
            ends.client_turn();
        });
        server += time(|| {
            ends.server_turn();
        });
    }
    [client, server]
}

/// What the operations need of the other side.
struct Materials {
    seed: [u8; 64],
    scalar: [u8; 32],
    /// The other side's point.
    point: [u8; 32],
    encapsulation_key: ml_kem::kem::Key<EncapsulationKey<MlKem768>>,
    ciphertext: ml_kem::Ciphertext<MlKem768>,
    signer: SigningKey,
    verifier: [u8; 32],
    signature: [u8; 64],
    rng: Rng,
}

impl Materials {
    fn new() -> Self {
        let mut rng = Rng(SeededRandom::new(9));
        let (mut seed, mut scalar) = ([0; 64], [0; 32]);
        rng.0.fill(&mut seed);
        rng.0.fill(&mut scalar);
        let private = DecapsulationKey::<MlKem768>::from_seed(seed.into());
        let public = private.encapsulation_key();
        let (ciphertext, _) = public.encapsulate_with_rng(&mut rng);
        let signer = SigningKey::from_bytes(&scalar);
        Self {
            seed,
            scalar,
            point: MontgomeryPoint::mul_base_clamped(scalar).to_bytes(),
            encapsulation_key: public.to_bytes(),
            ciphertext,
            verifier: signer.verifying_key().to_bytes(),
            signature: signer.sign(&REQUEST).to_bytes(),
            signer,
            rng,
        }
    }

    /// Keys and a share made, decapsulated, agreed; the host's signature verified, a login signed.
    fn client(&self) {
        let private = DecapsulationKey::<MlKem768>::from_seed(black_box(self.seed).into());
        black_box(private.encapsulation_key().to_bytes());
        black_box(private.decapsulate(&self.ciphertext));
        self.both();
    }

    /// Encapsulated, a share made, agreed; the exchange signed, the login verified.
    fn server(&mut self) {
        let public = EncapsulationKey::<MlKem768>::new(black_box(&self.encapsulation_key));
        black_box(public.expect("a key").encapsulate_with_rng(&mut self.rng));
        self.both();
    }

    /// The curve, one signature each way, and the hashes: the secret, the exchange, four keys.
    fn both(&self) {
        black_box(MontgomeryPoint::mul_base_clamped(black_box(self.scalar)).to_bytes());
        black_box(
            MontgomeryPoint(self.point)
                .mul_clamped(black_box(self.scalar))
                .to_bytes(),
        );
        black_box(self.signer.sign(black_box(&REQUEST)).to_bytes());
        let verifier = VerifyingKey::from_bytes(black_box(&self.verifier)).expect("a key");
        let signature = Signature::from_bytes(&self.signature);
        verifier
            .verify_strict(&REQUEST, &signature)
            .expect("signed");
        black_box(Sha256::digest(black_box([0; 64])));
        black_box(Sha256::digest(black_box([1; EXCHANGE])));
        for _ in 0..4 {
            black_box(Sha256::digest(black_box([2; DERIVED])));
        }
    }
}

/// As the library wants it.
struct Rng(SeededRandom);

impl TryRng for Rng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(self.0.next_u64() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Rng {}
