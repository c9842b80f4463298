//! `libkdclient`: what `<linux/kerneld.h>` offered to code inside the kernel (Linux 1.3.57-2.1.89),
//! for C programs of today, with the historical signatures and results.
//!
//! The header is `compat/include/linux/kerneld.h`. Requests go out in the new protocol, whose pid
//! lets the daemon say who asked. The daemon's queue is found by the default key, or by the one in
//! the environment variable `KERNELD_KEY`.

use std::ffi::{CStr, c_char, c_int};
use std::panic::catch_unwind;
use std::time::Duration;

use kerneld_protocol::client::{Answer, Client, Failure};
use kerneld_protocol::defaults::parse_key;
use kerneld_protocol::queue::{CAPACITY, DEFAULT_KEY};
use kerneld_protocol::request::Command;
use kerneld_protocol::wire::Layout;

/// In `ret_size`: wait for the answer (`kerneld.h`: 0x80000000).
pub const KERNELD_WAIT: c_int = c_int::MIN;
/// Do not wait (`kerneld.h`).
pub const KERNELD_NOWAIT: c_int = 0;

/// How long a request that wants no answer waits for room: as long as the 2.0 kernel kept messages
/// that nobody read before it dropped them from a full channel (`ipc/msg.c`).
const ROOM_LIMIT: Duration = Duration::from_secs(10);

const LAYOUT: Layout = Layout::NATIVE;

/// Sends command `msgtype` with `msgsz` bytes of `text`. With [`KERNELD_WAIT`] in `ret_size`, waits
/// for the answer, and copies of its text what fits the other bits' number of bytes to `ret_val`.
///
/// Returns the answer's status, or 0 when no answer is awaited; or a negative errno, as the kernel's
/// function of this name: -ENODEV when no daemon serves the queue or nobody read the request within
/// a second, -EACCES when the queue is not open to this user, -EINVAL for a text that no message
/// holds or a `KERNELD_KEY` that is not a key, -EFAULT for a null `text` of some length.
///
/// # Safety
/// `text` is null or has `msgsz` readable bytes; `ret_val` is null or has `ret_size` writable bytes
/// (the historical prototype says `const` all the same).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kerneld_send(
    msgtype: c_int,
    ret_size: c_int,
    msgsz: c_int,
    text: *const c_char,
    ret_val: *const c_char,
) -> c_int {
    let Ok(msgsz) = usize::try_from(msgsz) else { return -libc::EINVAL };
    let text = match (text.is_null(), msgsz) {
        (_, 0) => &[],
        (true, _) => return -libc::EFAULT,
        // SAFETY: the caller vouches for `msgsz` bytes.
        (false, _) => unsafe { std::slice::from_raw_parts(text.cast::<u8>(), msgsz) },
    };
    let wait = ret_size & KERNELD_WAIT != 0;
    match send(Command::from_number(msgtype.into()), text, wait) {
        Ok(answer) => {
            let room = (ret_size & !KERNELD_WAIT) as usize;
            if !ret_val.is_null() {
                let fits = &answer.text[..answer.text.len().min(room)];
                // SAFETY: the caller vouches for `room` bytes, and they cannot overlap our own.
                unsafe {
                    std::ptr::copy_nonoverlapping(fits.as_ptr(), ret_val.cast_mut().cast(), fits.len())
                };
            }
            answer.status
        }
        Err(status) => status,
    }
}

/// The answer, an empty one of status 0 when none is awaited, or a negative errno.
fn send(command: Command, text: &[u8], wait: bool) -> Result<Answer, c_int> {
    if text.len() + LAYOUT.header_len() > CAPACITY {
        return Err(-libc::EINVAL);
    }
    let key = key()?;
    let ask = || -> Result<Answer, Failure> {
        let client = Client::open(key, LAYOUT)?;
        if wait {
            return client.ask(command, text, None);
        }
        client.post(command, text, Some(ROOM_LIMIT))?;
        Ok(Answer { status: 0, text: Vec::new(), mtext_len: 0 })
    };
    // A panic (no thread to be had, say) must not end the C program that called us.
    catch_unwind(ask).map_err(|_| -libc::ENOMEM)?.map_err(Failure::status)
}

/// The key of the daemon's queue; -EINVAL when the environment's is none. Who starts a set-user-ID
/// program has no say in it.
fn key() -> Result<i32, c_int> {
    // SAFETY: getauxval takes a number and touches no memory of ours.
    let set_user_id = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    match std::env::var("KERNELD_KEY") {
        Ok(chosen) if !set_user_id => parse_key(&chosen).map_err(|_| -libc::EINVAL),
        _ => Ok(DEFAULT_KEY),
    }
}

/// [`kerneld_send`] of a C string whose answer's text does not matter.
///
/// # Safety
/// `text` is null or NUL-terminated.
unsafe fn send_string(command: Command, text: *const c_char, wait: bool) -> c_int {
    if text.is_null() {
        return -libc::EFAULT;
    }
    // SAFETY: the caller vouches for the NUL.
    let text = unsafe { CStr::from_ptr(text) };
    send(command, text.to_bytes(), wait).map_or_else(|status| status, |answer| answer.status)
}

/// Has a module loaded, and waits: the exit status of modprobe, or a negative errno.
///
/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn request_module(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise is handed on.
    unsafe { send_string(Command::RequestModule, name, true) }
}

/// Has a module unloaded; waits if `waitflag` is not 0.
///
/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn release_module(name: *const c_char, waitflag: c_int) -> c_int {
    // SAFETY: the caller's promise is handed on.
    unsafe { send_string(Command::ReleaseModule, name, waitflag != 0) }
}

/// Has a module unloaded after the daemon's delay; does not wait.
///
/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn delayed_release_module(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise is handed on.
    unsafe { send_string(Command::DelayedReleaseModule, name, false) }
}

/// Takes back what [`delayed_release_module`] asked; does not wait.
///
/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cancel_release_module(name: *const c_char) -> c_int {
    // SAFETY: the caller's promise is handed on.
    unsafe { send_string(Command::CancelReleaseModule, name, false) }
}

/// Has a command of the daemon's list run; waits if `waitflag` is not 0.
///
/// # Safety
/// `cmd` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ksystem(cmd: *const c_char, waitflag: c_int) -> c_int {
    // SAFETY: the caller's promise is handed on.
    unsafe { send_string(Command::System, cmd, waitflag != 0) }
}

/// Asks for a route to an IPv4 address, and waits.
///
/// # Safety
/// `ip_route` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn kerneld_route(ip_route: *const c_char) -> c_int {
    // SAFETY: the caller's promise is handed on.
    unsafe { send_string(Command::RequestRoute, ip_route, true) }
}

/// Screen blanker on (does not wait), or off with 0 (waits).
#[unsafe(no_mangle)]
pub extern "C" fn kerneld_blanker(on_off: c_int) -> c_int {
    let word = if on_off == 0 { c"off" } else { c"on" };
    // SAFETY: the word is NUL-terminated.
    unsafe { send_string(Command::ScreenBlanker, word.as_ptr(), on_off == 0) }
}
