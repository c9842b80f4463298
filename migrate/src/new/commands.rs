//! Commands of the old configuration in the form that kmod can run: old words of modprobe, insmod and rmmod
//! replaced, pre- and post-commands composed into one `install` line.

use std::ops::Range;

use kerneld_kmod::underscored;

use crate::account::{Kind, Question};
use crate::old::shell::{self, Simple, Word, parse};

/// The modprobe that composed lines call.
pub const MODPROBE: &str = "/sbin/modprobe";
/// What does one sweep over unused modules today.
pub const AUTOCLEAN: &str = "/usr/sbin/kerneld autoclean --once";

/// What a module name in a command stands for today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// It can be loaded under this name.
    Name(String),
    /// Asking for it succeeds and loads nothing.
    Off,
    /// It cannot be loaded, and why.
    Missing(String),
}

/// Answers what a module name stands for.
pub type Lookup<'a> = dyn Fn(&str) -> Member + 'a;

/// Puts a command into today's words. `owner` is the module whose `install` this is: it must be loaded with
/// `--ignore-install` there, or the line would call itself.
///
/// # Errors
/// Why it cannot work today, or why kmod cannot be given it.
pub fn rewrite(text: &str, owner: Option<&str>, lookup: &Lookup) -> Result<String, Question> {
    let parsed = parse(text).map_err(|why| unfit(format!("a shell cannot parse this command: {why}")))?;
    if text.contains("$CMDLINE_OPTS") {
        return Err(unfit("kmod would put options in place of $CMDLINE_OPTS in this command"));
    }
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(unfit("the command holds a control character"));
    }
    let mut edits = Vec::new();
    for simple in &parsed.commands {
        edits.extend(edit(text, simple, owner, lookup)?);
    }
    let mut text = text.to_owned();
    for (range, replacement) in edits.into_iter().rev() {
        text.replace_range(range, &replacement);
    }
    Ok(text.trim_end().to_owned())
}

fn unfit(why: impl Into<String>) -> Question {
    Question::new(Kind::Command, why)
}

type Edit = (Range<usize>, String);

/// The words that may stand before a command's name.
const PREFIXES: [&str; 10] = ["{", "!", "if", "then", "else", "elif", "while", "until", "do", "exec"];

fn edit(text: &str, simple: &Simple, owner: Option<&str>, lookup: &Lookup) -> Result<Vec<Edit>, Question> {
    let assigns = |word: &Word| {
        let raw = &text[word.range.clone()];
        raw.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let skipped = simple
        .iter()
        .take_while(|word| {
            word.value.as_deref().is_some_and(|value| PREFIXES.contains(&value)) || assigns(word)
        })
        .count();
    let Some((command, arguments)) = simple[skipped..].split_first() else { return Ok(Vec::new()) };
    let Some(name) = command.value.as_deref() else { return Ok(Vec::new()) };
    if name.contains(char::is_whitespace) {
        return Err(unfit(format!(
            "the quotes make the shell look for one program called `{name}`: this never worked"
        )));
    }
    match name.rsplit('/').next() {
        Some("modprobe") => modprobe(text, command, arguments, owner, lookup),
        Some("insmod") => insmod(text, command, arguments, lookup),
        Some("rmmod") => rmmod(command, arguments, lookup),
        _ => Ok(Vec::new()),
    }
}

/// The whole range from the command's name to its last argument.
fn whole(command: &Word, arguments: &[Word]) -> Range<usize> {
    command.range.start..arguments.last().unwrap_or(command).range.end
}

/// Arguments with their raw text; flags told apart from names.
struct Arguments<'a> {
    flags: Vec<&'a str>,
    rest: Vec<(&'a Word, &'a str)>,
}

fn arguments<'a>(text: &'a str, words: &'a [Word]) -> Arguments<'a> {
    let mut out = Arguments { flags: Vec::new(), rest: Vec::new() };
    for word in words {
        match word.value.as_deref() {
            Some("--") => {}
            Some(flag) if flag.starts_with('-') && out.rest.is_empty() => out.flags.push(flag),
            _ => out.rest.push((word, &text[word.range.clone()])),
        }
    }
    out
}

fn modprobe(
    text: &str,
    command: &Word,
    words: &[Word],
    owner: Option<&str>,
    lookup: &Lookup,
) -> Result<Vec<Edit>, Question> {
    let program = &text[command.range.clone()];
    let Arguments { flags, rest } = arguments(text, words);
    let mut line = vec![program.to_owned()];
    for flag in &flags {
        line.extend(todays_flag(program, flag)?);
    }
    let has = |letter: char| flags.iter().any(|flag| !flag.starts_with("--") && flag.contains(letter));
    let removes = flags.contains(&"--remove") || has('r');
    if rest.is_empty() {
        return match removes {
            true => Ok(vec![(whole(command, words), AUTOCLEAN.to_owned())]),
            false => Err(unfit(format!("`{program}` without a module's name does nothing today"))),
        };
    }
    let names = if removes || has('a') { rest.len() } else { 1 };
    for (index, (word, raw)) in rest.iter().enumerate() {
        match word.value.as_deref().filter(|_| index < names) {
            Some(value) => line.extend(todays_name(value, raw, owner.filter(|_| !removes), lookup)?),
            None => line.push((*raw).to_owned()),
        }
    }
    Ok(vec![(whole(command, words), line.join(" "))])
}

/// A flag of old modprobe as today's takes it; `None` when it has no meaning today.
fn todays_flag(program: &str, flag: &str) -> Result<Option<String>, Question> {
    match flag {
        "--autoclean" => Ok(None),
        "--remove" | "--syslog" | "--quiet" | "--verbose" | "--show" => Ok(Some(flag.to_owned())),
        _ if !flag.starts_with("--") && flag[1..].chars().all(|c| "aknqrsv".contains(c)) => {
            let kept: String = flag.chars().filter(|c| *c != 'k').collect();
            Ok((kept != "-").then_some(kept))
        }
        _ => Err(unfit(format!("`{program} {flag}` is not understood by today's modprobe"))),
    }
}

/// A module's name as a word of a modprobe command.
fn todays_name(
    value: &str,
    raw: &str,
    owner: Option<&str>,
    lookup: &Lookup,
) -> Result<Vec<String>, Question> {
    let name = loadable(value, lookup)?;
    let own = owner.is_some_and(|owner| same(owner, &name));
    let word = if name == value { raw.to_owned() } else { shell::quote(&name) };
    Ok(own.then(|| "--ignore-install".to_owned()).into_iter().chain([word]).collect())
}

/// insmod with a module's name is gone: modprobe does it, past the module's own install line as insmod did.
fn insmod(text: &str, command: &Word, words: &[Word], lookup: &Lookup) -> Result<Vec<Edit>, Question> {
    let Arguments { flags, rest } = arguments(text, words);
    let Some(((word, _), parameters)) = rest.split_first() else {
        return Err(unfit("`insmod` without a module's name does nothing"));
    };
    let mut line = vec![MODPROBE.to_owned()];
    for flag in flags {
        match flag {
            "-k" | "--autoclean" | "-p" | "-x" | "-X" | "-y" | "-L" => {}
            "-s" | "-v" | "-q" | "-f" => line.push(flag.to_owned()),
            "-sk" | "-ks" => line.push("-s".to_owned()),
            _ => return Err(unfit(format!("`insmod {flag}` is not understood today"))),
        }
    }
    let value =
        word.value.as_deref().ok_or_else(|| unfit("only a shell knows which module insmod loads here"))?;
    let file = value.rsplit('/').next().unwrap_or(value);
    let name = loadable(file.strip_suffix(".o").unwrap_or(file), lookup)?;
    line.push("--ignore-install".to_owned());
    line.push(shell::quote(&name));
    line.extend(parameters.iter().map(|(_, raw)| (*raw).to_owned()));
    Ok(vec![(whole(command, words), line.join(" "))])
}

fn rmmod(command: &Word, words: &[Word], lookup: &Lookup) -> Result<Vec<Edit>, Question> {
    let has = |letter: char| {
        words.iter().filter_map(|word| word.value.as_deref()).any(|value| {
            value
                .strip_prefix('-')
                .is_some_and(|letters| !letters.starts_with('-') && letters.contains(letter))
        })
    };
    if has('a') {
        Ok(vec![(whole(command, words), AUTOCLEAN.to_owned())])
    } else if has('r') {
        Err(unfit("`rmmod -r` is gone: write `modprobe -r NAME`"))
    } else {
        Ok(words.iter().filter_map(|word| renamed(word, lookup)).collect())
    }
}

/// A module that rmmod removes, in its name of today.
fn renamed(word: &Word, lookup: &Lookup) -> Option<Edit> {
    let name = word.value.as_deref().filter(|value| !value.starts_with('-'))?;
    match lookup(name) {
        Member::Name(today) if !same(&today, name) => Some((word.range.clone(), shell::quote(&today))),
        _ => None,
    }
}

fn loadable(name: &str, lookup: &Lookup) -> Result<String, Question> {
    match lookup(name) {
        Member::Name(today) => Ok(today),
        Member::Off => Ok(name.to_owned()),
        Member::Missing(why) => Err(unfit(format!("the command loads {name}: {why}"))),
    }
}

fn same(a: &str, b: &str) -> bool {
    underscored(a) == underscored(b)
}

/// A command as a part of a longer line: grouped when it is more than one simple command, in a subshell when
/// it would change the shell that the rest of the line runs in, and given to a shell of its own, as `system()` did,
/// when its syntax could break the line.
pub fn part(text: &str) -> String {
    let parsed = match parse(text) {
        Ok(parsed) if parsed.plain => parsed,
        _ => return format!("/bin/sh -c {}", shell::quote(text)),
    };
    let first = |simple: &Simple| simple.first().and_then(|word| word.value.clone()).unwrap_or_default();
    let changes_shell = parsed.commands.iter().any(|simple| {
        let word = first(simple);
        word.contains('=')
            || matches!(
                word.as_str(),
                "" | "exit" | "exec" | "cd" | "set" | "trap" | "return" | "export" | "umask" | "ulimit" | "."
            )
    });
    if changes_shell || parsed.terminated {
        format!("( {text} )")
    } else if parsed.compound {
        format!("{{ {text}; }}")
    } else {
        text.to_owned()
    }
}

/// Joins the parts of an install or remove line: each must succeed before the next is tried.
pub fn chain(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(" && ")
}

/// The text as modprobe.d holds it: kmod takes one level of backslashes away.
pub fn written(text: &str) -> String {
    text.replace('\\', r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Member {
        match name {
            "gone" => Member::Missing("no kernel of today has it".to_owned()),
            "serial" => Member::Name("8250".to_owned()),
            other => Member::Name(other.to_owned()),
        }
    }

    fn today(text: &str) -> Result<String, Question> {
        rewrite(text, Some("bttv"), &lookup)
    }

    #[test]
    fn old_words_are_put_into_todays() {
        for (old, new) in [
            ("/sbin/modprobe \"-k\" \"slhc\"", "/sbin/modprobe \"slhc\""),
            ("modprobe -ks serial x=1", "modprobe -s 8250 x=1"),
            (
                "/sbin/insmod -k videodev; /sbin/insmod -k bttv card=3",
                "/sbin/modprobe --ignore-install videodev; /sbin/modprobe --ignore-install bttv card=3",
            ),
            ("insmod /lib/modules/misc/tun.o", "/sbin/modprobe --ignore-install tun"),
            ("modprobe bttv", "modprobe --ignore-install bttv"),
            ("/sbin/rmmod -as && echo ok", "/usr/sbin/kerneld autoclean --once && echo ok"),
            ("modprobe -r", "/usr/sbin/kerneld autoclean --once"),
            ("/sbin/rmmod lp", "/sbin/rmmod lp"),
            ("/sbin/rmmod -s serial", "/sbin/rmmod -s 8250"),
            ("echo insmod done", "echo insmod done"),
            ("echo $HOME \\$PATH $$ \"a\\tb\" 100%", "echo $HOME \\$PATH $$ \"a\\tb\" 100%"),
            ("if modprobe -k tun; then modprobe -k slip; fi", "if modprobe tun; then modprobe slip; fi"),
        ] {
            assert_eq!(today(old).as_deref(), Ok(new), "{old}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for text in [
            "'modprobe ide-scsi'",
            "modprobe gone",
            "insmod -o x y",
            "modprobe -t net x",
            "echo \"a",
            "x $CMDLINE_OPTS",
        ] {
            assert!(today(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parts_stand_for_themselves() {
        assert_eq!(part("/bin/true -x >/dev/null 2>&1"), "/bin/true -x >/dev/null 2>&1");
        assert_eq!(part("a || :"), "{ a || :; }");
        assert_eq!(part("a &"), "( a & )");
        assert_eq!(part("cd /x; a"), "( cd /x; a )");
    }
}
