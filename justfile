# Every recipe is one plain line: without `just`, copy the line.

# The quick one: unit, behaviour and property tests, and the peers that are installed.
test:
    cargo test --workspace

# The tests that count high, in release.
test-long:
    cargo test --release --workspace -- --ignored long_

# What CI refuses.
lint:
    .ci/run format clippy

# The documentation, private items included.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# The core linked into a program that has no std.
no-std:
    cp Cargo.lock testdata/no_std/Cargo.lock && cargo build --manifest-path testdata/no_std/Cargo.toml --target-dir target/no_std

# Every fuzz target for 17 seconds, on the stable toolchain.
fuzz:
    .ci/run fuzz

# The core beside the bare ciphers and key agreements, its instructions where valgrind is installed, and
# the blocking driver: bulk transfer beside ssh, one channel and eight.
bench:
    cargo bench -p ssh-testkit -p ssh-blocking --bench core --bench bulk --bench channels

# Round trips and bulk transfer of both drivers beside ssh, russh and libssh2, which are built for it.
bench-peers:
    cargo bench -p ssh-testkit --bench peers

# What 10,000 idle connections over tokio cost. Both processes need a descriptor for each: ulimit -n.
bench-idle:
    cargo bench -p ssh-testkit --bench idle

# A thousand clients that never log in, beside fifty that do. Descriptors as above.
bench-crowd:
    cargo bench -p ssh-testkit --bench crowd

# 100 GiB through one connection in memory, with new keys every 64 MiB.
endurance:
    cargo bench -p ssh-testkit --bench endurance -- 100

# 10,000 connections over the event loop of the examples, in two processes of one thread each.
connections:
    cargo build --release -p ssh-examples --examples && cargo run --release -p ssh-examples --example mio_client -- --connections 10000

# Every mutant of the core, out of one build. Needs cargo-mutants, for its list; hours.
mutants:
    cargo run --manifest-path testdata/mutants/Cargo.toml --target-dir target/mutants/tool -- --jobs 2

# What would be uploaded.
package:
    .ci/run package

# Everything that CI does, in its order. As root on Debian it installs the peers first.
ci:
    .ci/run
