"""Prints rsa_odd_sizes.txt. Deterministic, and no way to make a key that protects anything."""
import hashlib
import random
from math import gcd, lcm

rng = random.Random(20240601)
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def probable_prime(n):
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for _ in range(12):
        x = pow(rng.randrange(2, n - 1), d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(bits, e):
    while True:
        n = rng.getrandbits(bits) | 1 | (3 << (bits - 2))
        if all(n % small for small in (3, 5, 7, 11, 13)) and gcd(e, n - 1) == 1 and probable_prime(n):
            return n


def hexadecimal(n):
    return n.to_bytes((n.bit_length() + 7) // 8, "big").hex()


print("# RSA keys of odd sizes: n e d iqmp p q message signature (rsa-sha2-256), hexadecimal.")
print("# Printed by rsa_odd_sizes.py.")
for p_bits, q_bits, e in (
    (1031, 1020, 3),
    (600, 1500, 65537),
    (1500, 600, 17),
    (1024, 1024, 4294967297),
    (1025, 1026, 65537),
    (64, 2000, 65537),
):
    p, q = prime(p_bits, e), prime(q_bits, e)
    n = p * q
    d = pow(e, -1, lcm(p - 1, q - 1))
    length = (n.bit_length() + 7) // 8
    message = b"odd sizes %d" % n.bit_length()
    info = SHA256_INFO + hashlib.sha256(message).digest()
    encoded = b"\0\1" + b"\xff" * (length - 3 - len(info)) + b"\0" + info
    signature = pow(int.from_bytes(encoded, "big"), d, n).to_bytes(length, "big")
    numbers = (n, e, d, pow(q, -1, p), p, q)
    print(*map(hexadecimal, numbers), message.hex(), signature.hex())
