//! Streams that zlib has made.

use super::*;

/// Made with zlib 1.2.13:
///
/// ```text
/// import zlib
/// head = b"\x5e\0\0\0\x01\0\0\0\x0c"
/// packets = [head + b"attack at da", head + b"attack at du", b"\x02\0\0\0\0", b"z" * 60]
/// c = zlib.compressobj(level, zlib.DEFLATED, wbits, memLevel, strategy)
/// [(c.compress(p) + c.flush(flush)).hex() for p in packets]
/// ```
const VECTORS: &[(&str, [&str; 4])] = &[
    (
        "level 0, Z_SYNC_FLUSH",
        [
            "7801001500eaff5e000000010000000c61747461636b206174206461000000ffff",
            "001500eaff5e000000010000000c61747461636b206174206475000000ffff",
            "000500faff0200000000000000ffff",
            concat!(
                "003c00c3ff7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
                "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a000000ffff"
            ),
        ],
    ),
    (
        "level 0, Z_PARTIAL_FLUSH",
        [
            "7801001500eaff5e000000010000000c61747461636b20617420646102",
            "001500eaff5e000000010000000c61747461636b20617420647502",
            "000500faff020000000002",
            concat!(
                "003c00c3ff7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a",
                "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a02"
            ),
        ],
    ),
    (
        "level 1, Z_PARTIAL_FLUSH",
        [
            "78018a6360606004629ec49292c4e46c85c4128594448000",
            "8ac322580a10",
            "404c4041068000",
            "aaa2000004",
        ],
    ),
    (
        "level 6, Z_PARTIAL_FLUSH",
        [
            "789c8a6360606004629ec49292c4e46c85c4128594448000",
            "8ac322580a10",
            "404c4001068000",
            "aaa2000004",
        ],
    ),
    (
        "level 6, Z_SYNC_FLUSH",
        [
            "789c8a6360606004629ec49292c4e46c85c41285944400000000ffff",
            "8ac322580a000000ffff",
            "62020a3000000000ffff",
            "aaa20000000000ffff",
        ],
    ),
    (
        "level 6, Z_FULL_FLUSH",
        [
            "789c8a6360606004629ec49292c4e46c85c41285944400000000ffff",
            "8a6360606004629ec49292c4e46c85c41285945200000000ffff",
            "6262000200000000ffff",
            "aaaa221f00000000ffff",
        ],
    ),
    (
        "level 9, memLevel 9, Z_PARTIAL_FLUSH",
        [
            "78da8a6360606004629ec49292c4e46c85c4128594448000",
            "8ac322580a10",
            "404c4001068000",
            "aaa2000004",
        ],
    ),
    (
        "level 9, wbits 9, memLevel 1, Z_PARTIAL_FLUSH",
        [
            "18d38a6360606004629ec49292c4e46c85c4128594448000",
            "8ac322580a10",
            "404c4001068000",
            "aaa2000004",
        ],
    ),
    (
        "level 6, Z_FIXED, Z_PARTIAL_FLUSH",
        [
            "78018a6360606004629ec49292c4e46c85c4128594448000",
            "8ac322580a10",
            "404c4001068000",
            "aaa2000004",
        ],
    ),
    (
        "level 6, Z_HUFFMAN_ONLY, Z_PARTIAL_FLUSH",
        [
            "78018a63606060646060e0492c29494cce56482c5148490408",
            "a038060606460606069ec49292c4e46c85c4128594528000",
            "62626060600008",
            "40101c080000000000f9560f0000000000000028",
        ],
    ),
    (
        "level 6, Z_RLE, Z_PARTIAL_FLUSH",
        [
            "78018a63606060646060e0492c29494cce56482c5148490408",
            "a038060606460606069ec49292c4e46c85c4128594528000",
            "626200028000",
            "aaa2000004",
        ],
    ),
];

#[test]
fn streams_of_zlib_unpack() {
    let head = b"\x5e\0\0\0\x01\0\0\0\x0c";
    let packets = [
        &[&head[..], b"attack at da"].concat()[..],
        &[&head[..], b"attack at du"].concat(),
        b"\x02\0\0\0\0",
        &[b'z'; 60],
    ];
    for (how, vectors) in VECTORS {
        let mut here = inflater();
        for (packed, payload) in vectors.iter().zip(packets) {
            let unpacked = unpack(&mut here, &hex::decode(packed).unwrap(), 100);
            assert_eq!(unpacked.unwrap(), payload, "{how}");
        }
    }
    // A block with codes of its own: `c = zlib.compressobj(6)`, Z_PARTIAL_FLUSH.
    let packed = hex::decode(concat!(
        "789c2c8c491284200c45aff2af066d80b448945138bd29cbf51b6a205c8d7f3b6c9691e0e4c6bf1d6781",
        "74caa88aa359139b789c46b563c2aa33b80638eea4645142e4ab49d6d4170419e87473f2717ef3cdb88a",
        "45369bf2ee1f01"
    ))
    .unwrap();
    let payload = "the quick brown fox jumps over the lazy dog pack my box with five dozen liquor \
                   jugs how vexingly quick daft zebras jump";
    let unpacked = unpack(&mut inflater(), &packed, 119).unwrap();
    assert_eq!(unpacked, payload.as_bytes());
}
