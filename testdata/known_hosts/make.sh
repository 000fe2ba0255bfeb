#!/bin/sh
# Makes `plain`, `hashed` (ssh-keygen -H) and `expected.tsv` (what ssh-keygen -F answers) anew.
# Run it inside the directory.
set -eu
k() { cut -d' ' -f1,2 "../keys/$1.pub"; }
{
    echo "# a comment"
    echo
    echo "alpha.example.org,192.0.2.1 $(k ed25519)"
    echo "[beta.example.org]:2222 $(k ecdsa_p256) with a comment"
    echo "*.wild.example.org,!not.wild.example.org $(k rsa2048)"
    echo "Upper.Example.Org $(k ed25519)"
    echo "h?st.example.org $(k ed25519_enc)"
    echo "[2001:db8::1]:2222,2001:db8::2 $(k ed25519)"
    echo "alpha.example.org $(k ecdsa_p256)"
    echo "!only.example.org $(k ed25519)"
    echo "[*.port.example.org]:* $(k rsa2048)"
    echo "tail.example.org $(k no_comment)"
} > plain
cp plain hashed
ssh-keygen -q -H -f hashed > /dev/null 2>&1
rm -f hashed.old
: > expected.tsv
for file in plain hashed; do
    for host in alpha.example.org ALPHA.example.org 192.0.2.1 '[alpha.example.org]:2222' \
        '[beta.example.org]:2222' '[beta.example.org]:22' beta.example.org a.wild.example.org \
        not.wild.example.org wild.example.org upper.example.org host.example.org \
        hst.example.org hoost.example.org '[2001:db8::1]:2222' 2001:db8::1 2001:db8::2 \
        only.example.org '[x.port.example.org]:2022' x.port.example.org tail.example.org \
        nobody.example.org; do
        lines=$(ssh-keygen -F "$host" -f "$file" 2> /dev/null |
            sed -n 's/^# Host .* found: line \([0-9]*\).*/\1/p' | paste -sd, -)
        printf '%s\t%s\t%s\n' "$file" "$host" "${lines:--}" >> expected.tsv
    done
done
