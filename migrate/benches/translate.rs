//! How long a configuration of N lines takes, from text to files: `cargo bench -p kerneld-migrate`.

use std::fmt::Write as _;
use std::time::Instant;

use kerneld_migrate::plan::{Plan, Request};

/// Lines of the kinds that old files have, no two names alike.
fn configuration(lines: usize) -> String {
    let mut text = String::new();
    for index in 0..lines / 8 {
        let _ = write!(
            text,
            "# card {index}\nalias eth{index} tulip\noptions eth{index} options=1 debug=\"a b\"\nalias net-pf-{index} off\n\
             alias char-major-{index} sg\npost-install name{index} echo loaded >/dev/null 2>&1 || :\n\
             alias name{index} loop\nprobeall all{index} aic7xxx sym53c8xx\n"
        );
    }
    text
}

fn main() {
    println!("{:>9}  {:>9}  {:>12}", "lines", "ms", "ns per line");
    for lines in [1_000, 10_000, 100_000, 200_000] {
        let root = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(root.path().join("etc")).expect("a folder in it");
        std::fs::write(root.path().join("etc/conf.modules"), configuration(lines)).expect("a file in it");
        let request = Request { root: root.path().to_owned(), ..Request::default() };
        let start = Instant::now();
        let plan = Plan::make(&request).expect("a plan");
        let bytes: usize = plan.files.iter().map(|file| file.content().len()).sum();
        let taken = start.elapsed();
        assert!(bytes > 0);
        println!("{lines:>9}  {:>9.1}  {:>12}", taken.as_secs_f64() * 1e3, taken.as_nanos() / lines as u128);
    }
}
