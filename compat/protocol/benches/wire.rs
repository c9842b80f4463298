//! What it costs to tell a layout, take a message apart and put an answer together: `cargo bench --bench wire`.

use divan::{Bencher, black_box};
use kerneld_protocol::request::Request;
use kerneld_protocol::wire::{Layout, Message};

fn main() {
    divan::main();
}

fn request(layout: Layout) -> Vec<u8> {
    Message { layout, id: 0x7fff_0001, pid: 77, text: b"net-pf-10-proto-132" }.encode()
}

#[divan::bench(args = Layout::ALL)]
fn parse(bencher: Bencher<'_, '_>, layout: Layout) {
    let mtext = request(layout);
    bencher.bench(|| Request::parse(2, black_box(&mtext)).is_ok());
}

#[divan::bench(args = Layout::ALL)]
fn answer(bencher: Bencher<'_, '_>, layout: Layout) {
    let mtext = request(layout);
    let reply = Request::parse(2, &mtext).expect("a request").reply;
    bencher.bench(|| black_box(reply).answer(0, b""));
}

#[divan::bench(args = [4, 1024, 8192])]
fn noise(bencher: Bencher<'_, '_>, length: usize) {
    let mtext: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
    bencher.bench(|| Message::decode(black_box(&mtext)).is_ok());
}
