//! A client that shares no code with us.

use crate::support::Daemon;
use kerneld_test_support::have_program;
use std::process::Command;

#[test]
fn a_python_client_gets_answers_in_each_layout() {
    if !have_program("python3") {
        return;
    }
    let daemon = Daemon::start(&[]);
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/client.py"))
        .arg(daemon.key.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text, "ilp32-old 3\nilp32-new 4\nlp64-old 5\nlp64-new 6\n");
    assert_eq!(daemon.records()[3].env["KERNELD_TRIGGER"], "4660");
}
