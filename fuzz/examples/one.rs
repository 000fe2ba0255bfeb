fn main() {
    let mut args = std::env::args().skip(1);
    let target = args.next().unwrap();
    let f = ssh_fuzz::TARGETS
        .iter()
        .find(|(n, _)| *n == target)
        .unwrap()
        .1;
    for file in args {
        eprintln!("== {file}");
        f(&std::fs::read(file).unwrap());
    }
}
