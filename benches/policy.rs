//! What it costs to decide whether a request may run: `cargo bench --bench policy`.

use divan::{Bencher, black_box};
use kerneld::inside::{PersistNumbers, judge};
use kerneld_protocol::request::Request;
use kerneld_protocol::wire::{Layout, Message};

fn main() {
    divan::main();
}

const NUMBERS: PersistNumbers = PersistNumbers { get: 9, set: 10 };

#[divan::bench(args = [(2, "ppp"), (2, "net-pf-10-proto-132-type-1"), (2, "-C/tmp/x"), (6, "10.0.0.1"), (6, "fe80::1"), (255, "keep debug")])]
fn verdict(bencher: Bencher<'_, '_>, (command, text): (i64, &str)) {
    let mtext = Message { layout: Layout::Lp64New, id: 1000, pid: 77, text: text.as_bytes() }.encode();
    let request = Request::parse(command, &mtext).expect("a request");
    bencher.bench(|| judge(black_box(&request), NUMBERS).is_ok());
}
