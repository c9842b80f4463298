//! Standard output, with colour where it is a terminal.

use std::io::Write;

/// Writes to standard output; false when the reader has gone away, having seen enough.
pub fn print(bytes: &[u8]) -> bool {
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    out.write_all(bytes).and_then(|()| out.flush()).is_ok()
}

/// Writes a value as a line of JSON; as [`print()`].
pub fn print_json(value: &impl serde::Serialize) -> Result<bool, String> {
    let line = serde_json::to_string(value).map_err(|error| format!("cannot write JSON: {error}"))?;
    Ok(print(format!("{line}\n").as_bytes()))
}
