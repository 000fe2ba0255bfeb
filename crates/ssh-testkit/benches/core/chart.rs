//! Draws `docs/img/throughput.svg`: what packets of each size get of the bare cipher.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use ssh_proto::algorithm::{CipherAlgorithm, MacAlgorithm};

use super::data::{STREAM, Speeds, measure};
use super::pair::Protection;

const SIZES: [usize; 7] = [64, 256, 1024, 4096, 8192, 16 * 1024, 32 * 1024];
/// Of the axis of speed, in GB/s.
const TICKS: [f64; 9] = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];
const LEFT: f64 = 60.0;
const RIGHT: f64 = 520.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 330.0;

const STYLE: &str = "
text { font: 13px sans-serif; fill: #333 }
.grid { stroke: #ddd } .line { fill: none; stroke-width: 2 } .bare { stroke-dasharray: 3 4 }
.c0 { stroke: #06c } .c1 { stroke: #c50 } .c2 { stroke: #283 }
@media (prefers-color-scheme: dark) {
  text { fill: #ccc } .grid { stroke: #444 }
  .c0 { stroke: #6af } .c1 { stroke: #f95 } .c2 { stroke: #6c7 }
}
";

pub(crate) fn draw() {
    let protections = [
        Protection::AES128_GCM,
        Protection {
            cipher: CipherAlgorithm::ChaCha20Poly1305,
            mac: None,
        },
        Protection {
            cipher: CipherAlgorithm::Aes128Ctr,
            mac: Some(MacAlgorithm::HmacSha256Etm),
        },
    ];
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 380\" role=\"img\">\n\
         <title>Throughput by packet size</title>\n",
    );
    writeln!(svg, "<style>{STYLE}</style>").expect("a string");
    axes(&mut svg);
    for (n, protection) in protections.into_iter().enumerate() {
        let speeds: Vec<Speeds> = SIZES
            .iter()
            .map(|size| measure(protection, *size, STREAM).speeds())
            .collect();
        line(
            &mut svg,
            n,
            "bare",
            speeds.iter().map(|speeds| speeds.bare_open),
        );
        line(&mut svg, n, "open", speeds.iter().map(|speeds| speeds.open));
        let at = TOP + 20.0 + 24.0 * n as f64;
        let name = protection.name().replace("@openssh.com", "");
        writeln!(
            svg,
            "<path class=\"line c{n}\" d=\"M535 {at}h24\"/><text x=\"566\" y=\"{}\">{name}</text>",
            at + 4.0
        )
        .expect("a string");
    }
    let at = TOP + 110.0;
    writeln!(
        svg,
        "<text x=\"535\" y=\"{at}\">solid: through the core</text>\n\
         <text x=\"535\" y=\"{}\">dotted: the bare cipher</text>\n</svg>",
        at + 20.0
    )
    .expect("a string");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/img/throughput.svg");
    match fs::create_dir_all(path.with_file_name("")).and_then(|()| fs::write(&path, svg)) {
        Ok(()) => println!("written: docs/img/throughput.svg"),
        Err(error) => println!("not written: {error}"),
    }
}

fn axes(svg: &mut String) {
    let text = |svg: &mut String, x: f64, y: f64, anchor: &str, text: &str| {
        writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{text}</text>"
        )
        .expect("a string");
    };
    text(
        svg,
        LEFT,
        TOP - 18.0,
        "start",
        "Opening, GB/s of data, by data in each packet",
    );
    for tick in TICKS {
        let y = up(tick);
        writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>").expect("a string");
        text(svg, LEFT - 8.0, y + 4.0, "end", &tick.to_string());
    }
    for size in SIZES {
        let x = along(size);
        writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>").expect("a string");
        let label = if size < 1024 {
            size.to_string()
        } else {
            format!("{}K", size / 1024)
        };
        text(svg, x, BOTTOM + 20.0, "middle", &label);
    }
}

fn line(svg: &mut String, n: usize, class: &str, speeds: impl Iterator<Item = f64>) {
    let points: Vec<String> = SIZES
        .iter()
        .zip(speeds)
        .map(|(size, speed)| format!("{:.1},{:.1}", along(*size), up(speed)))
        .collect();
    let points = points.join(" ");
    writeln!(
        svg,
        "<polyline class=\"line {class} c{n}\" points=\"{points}\"/>"
    )
    .expect("a string");
}

fn along(size: usize) -> f64 {
    let part = (size as f64 / 64.0).log2() / 9.0;
    LEFT + part * (RIGHT - LEFT)
}

fn up(speed: f64) -> f64 {
    let part = (speed / TICKS[0]).log2() / (TICKS[TICKS.len() - 1] / TICKS[0]).log2();
    BOTTOM - part * (BOTTOM - TOP)
}
