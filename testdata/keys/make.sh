#!/bin/sh
# Makes every key of this directory anew with the ssh-keygen that is installed.
# Run it inside the directory. Passphrase of all encrypted keys: "correct horse".
set -eu
pass='correct horse'
new() { rm -f "$1" "$1.pub"; f=$1; shift; ssh-keygen -q -C "$f@test" -f "$f" "$@"; }

new ed25519    -t ed25519 -N ''
new ecdsa_p256 -t ecdsa -b 256 -N ''
new ecdsa_p384 -t ecdsa -b 384 -N ''
for bits in 2048 3072 4096; do new "rsa$bits" -t rsa -b "$bits" -N ''; done
new no_comment -t ed25519 -N '' -C ''

# Encrypted with the defaults (aes256-ctr, 16 rounds).
new ed25519_enc    -t ed25519 -N "$pass"
new ecdsa_p256_enc -t ecdsa -b 256 -N "$pass"
new rsa2048_enc    -t rsa -b 2048 -N "$pass"

# One round, so that thousands of attempts are cheap.
new ed25519_a1_aes128    -t ed25519 -a 1 -Z aes128-ctr -N "$pass"
new ed25519_a1_aes192    -t ed25519 -a 1 -Z aes192-ctr -N "$pass"
new ed25519_a1_aes256    -t ed25519 -a 1 -Z aes256-ctr -N "$pass"
new ecdsa_p256_a1        -t ecdsa -b 256 -a 1 -N "$pass"
new rsa3072_a1           -t rsa -b 3072 -a 1 -N "$pass"
new rsa4096_a1           -t rsa -b 4096 -a 1 -N "$pass"
new ed25519_a1_aes256cbc -t ed25519 -a 1 -Z aes256-cbc -N "$pass"

# What is recognised and not supported.
new rsa_pkcs1     -t rsa -b 2048 -m PEM -N ''
new rsa_pkcs1_enc -t rsa -b 2048 -m PEM -N "$pass"
new ecdsa_sec1    -t ecdsa -b 256 -m PEM -N ''
new rsa_pkcs8     -t rsa -b 2048 -m PKCS8 -N ''
new rsa_pkcs8_enc -t rsa -b 2048 -m PKCS8 -N "$pass"
chmod 644 -- *
chmod 755 make.sh
