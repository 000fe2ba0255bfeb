//! Compression through the whole state machine: what each level costs and gains, by the size of packets,
//! on the texts of this project and on what cannot be compressed. Encryption is part of it and hardly
//! counts beside it.

use std::fs;
use std::path::Path;

use ssh_proto::{ChannelId, Server};
use ssh_testkit::rng::SeededRandom;

use super::pair::{Ends, Protection, Setup, open_all};
use super::time;

const SIZES: [usize; 3] = [32 * 1024, 1024, 64];

/// The tables, of so many MiB for each number.
pub(crate) fn tables(mebibytes: usize) {
    let total = mebibytes.max(1) << 20;
    let mut noise = vec![0; total];
    SeededRandom::new(1).fill(&mut noise);
    for (what, source) in [("texts", texts(total)), ("noise", noise)] {
        println!(
            "\n{what}: MB/s of data that is compressed and inflated, data / bytes on the wire\n"
        );
        println!(
            "| level | {} |",
            SIZES.map(|n| format!("{n} bytes")).join(" | ")
        );
        println!("|---|---|---|---|");
        for level in 0..=9 {
            let cells = SIZES.map(|size| {
                // As many packets of each size as there are of the largest would take no time.
                let part = source.len().min(size * 20_000);
                let (send, open, wire) = measure(level, size, &source[..part]);
                let speed = |time: f64| part as f64 * 1e3 / time;
                let ratio = part as f64 / wire as f64;
                format!("{:.0}, {:.0}, {ratio:.2}", speed(send), speed(open))
            });
            println!("| {level} | {} |", cells.join(" | "));
        }
    }
}

/// The pages of `docs/`, one after the other and again from the beginning.
fn texts(total: usize) -> Vec<u8> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut pages: Vec<_> = fs::read_dir(docs)
        .expect("docs/")
        .map(|entry| entry.expect("a page").path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    pages.sort();
    let all: Vec<u8> = pages
        .iter()
        .flat_map(|page| fs::read(page).expect("a page"))
        .collect();
    all.iter().copied().cycle().take(total).collect()
}

/// How long a server takes to send `source` in packets of `size`, and a client to open them, and how
/// much that is on the wire.
fn measure(level: u8, size: usize, source: &[u8]) -> (f64, f64, usize) {
    let setup = Setup::new(Protection::AES128_GCM)
        .boundless()
        .compressed(level);
    let (mut client, mut server, id) = Ends::connected(setup).parts();
    let (mut send, mut open, mut wire) = (0.0, 0.0, 0);
    let mut packed = Vec::new();
    // The first packets find the memory.
    for (n, slice) in source.chunks(size * 4).enumerate() {
        let sent = time(|| seal(&mut server, id, slice, size, &mut packed));
        wire += packed.len();
        let opened = time(|| assert_eq!(open_all(&mut client, &mut packed), slice.len()));
        if n > 0 {
            (send, open) = (send + sent, open + opened);
        }
    }
    (send, open, wire)
}

fn seal(server: &mut Server, id: ChannelId, slice: &[u8], size: usize, packed: &mut Vec<u8>) {
    packed.clear();
    for data in slice.chunks(size) {
        let mut channel = server.channel(id).expect("open");
        assert_eq!(channel.send(data), Ok(data.len()));
        let n = server.output().len();
        packed.extend_from_slice(server.output());
        server.consume_output(n);
    }
}
