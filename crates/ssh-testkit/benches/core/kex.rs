//! What every key exchange method costs either role, and how much of a login that is.
//!
//! A login is that of `handshake`, with one method after the other. What the method computes is timed
//! by itself as well, where each side sends one value: for a client its share and the secret, for a server
//! the answer. Of the others it is what their login takes longer than the rest of one with
//! `curve25519-sha256`, and has a star. Group exchange is done in the group that a client asks for by default, of 3072 bits, as
//! `diffie-hellman-group15-sha512` is. A server's key of RSA key exchange is there before.

use ssh_proto::algorithm::KexAlgorithm;
use ssh_proto::fuzzing::Agreement;

use super::handshake::{login, spread};
use super::pair::{Protection, Setup};
use super::{median, time};

const RUNS: usize = 40;

pub(crate) fn table() {
    println!("\nCPU of key exchange methods, microseconds, median of {RUNS} (quartiles)\n");
    println!("| method | client, login | its agreement | server, login | its agreement |");
    println!("|---|---|---|---|---|");
    let curve = Costs::of(KexAlgorithm::Curve25519Sha256);
    for &kex in KexAlgorithm::ALL {
        let costs = Costs::of(kex);
        let cells = [0, 1].map(|role| {
            let (login, alone) = (&costs.logins[role], &costs.alone[role]);
            let share = |alone: &[f64]| 100.0 * median(alone) / median(login);
            if alone.is_empty() {
                let rest = median(&curve.logins[role]) - median(&curve.alone[role]);
                let more: Vec<f64> = login.iter().map(|login| login - rest).collect();
                format!(
                    "{} | {}*, {:.0} %",
                    spread(login),
                    spread(&more),
                    share(&more)
                )
            } else {
                format!(
                    "{} | {}, {:.0} %",
                    spread(login),
                    spread(alone),
                    share(alone)
                )
            }
        });
        println!("| {kex} | {} |", cells.join(" | "));
    }
}

/// Nanoseconds of a client and of a server, for each run.
struct Costs {
    logins: [Vec<f64>; 2],
    /// Empty where more than one value is sent.
    alone: [Vec<f64>; 2],
}

impl Costs {
    fn of(kex: KexAlgorithm) -> Self {
        let setup = Setup::new(Protection::AES128_GCM)
            .login_only()
            .exchanging(kex);
        let (mut logins, mut alone) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for _ in 0..RUNS {
            for (all, one) in logins.iter_mut().zip(login(&setup)) {
                all.push(one);
            }
            for (all, one) in alone.iter_mut().zip(agree(kex).into_iter().flatten()) {
                all.push(one);
            }
        }
        Self { logins, alone }
    }
}

/// The arithmetic of one exchange: what it took the client, and the server, in nanoseconds. `None` where
/// more than one value is sent.
fn agree(kex: KexAlgorithm) -> Option<[f64; 2]> {
    let mut agreement = Agreement::new(kex)?;
    let mut client = time(|| agreement.share());
    let server = time(|| agreement.answer());
    client += time(|| agreement.finish());
    Some([client, server])
}
