//! Other processes, as `/proc` shows them.
#![forbid(unsafe_code)]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a process may take to stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether it lives: has not ended, and is no zombie.
pub fn alive(pid: u32) -> bool {
    state(&format!("/proc/{pid}")).is_some_and(|state| state != 'Z')
}

/// The children of all its threads.
pub fn children(pid: u32) -> Vec<u32> {
    let lists = threads(pid).into_iter().map(|thread| fs::read_to_string(thread + "/children"));
    let pids = |list: String| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>();
    lists.flatten().flat_map(pids).collect()
}

/// Waits until SIGSTOP has stopped every thread of these: it is sent sooner than it takes effect, and
/// until then a thread that waits for a message is still given the next one.
///
/// # Errors
/// A sentence: one does not stop.
pub fn wait_until_stopped(pids: &[u32]) -> Result<(), String> {
    let start = Instant::now();
    while let Some(pid) = pids.iter().find(|pid| !stopped(**pid)) {
        if start.elapsed() > PATIENCE {
            return Err(format!("the process {pid} does not stop"));
        }
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn stopped(pid: u32) -> bool {
    threads(pid).iter().all(|thread| matches!(state(thread), None | Some('T' | 'Z')))
}

/// The directories of its threads.
pub fn threads(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().to_string_lossy().into_owned()).collect()
}

/// The letter of `proc_pid_stat(5)`; `None` when it is gone.
fn state(dir: &str) -> Option<char> {
    fs::read_to_string(format!("{dir}/stat")).ok()?.rsplit(") ").next()?.chars().next()
}
