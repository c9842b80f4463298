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

/// Answers what the names in a command stand for today.
pub trait Names {
    /// What a module's name stands for.
    fn member(&self, name: &str) -> Member;

    /// A parameter (`KEY=VALUE`) that a module of this old name is loaded with, in its name of today.
    ///
    /// # Errors
    /// Why it is left out.
    fn parameter(&self, module: &str, word: &str) -> Result<String, String>;
}

/// A command in today's words.
#[derive(Debug, Default)]
pub struct Rewritten {
    /// The command.
    pub text: String,
    /// Why parameters in it are left out.
    pub remarks: Vec<String>,
}

/// Puts a command into today's words. `owner` is the module whose `install` this is: it must be loaded with
/// `--ignore-install` there, or the line would call itself.
///
/// # Errors
/// Why it cannot work today, or why kmod cannot be given it.
pub fn rewrite(text: &str, owner: Option<&str>, names: &dyn Names) -> Result<Rewritten, Question> {
    let parsed = parse(text).map_err(|why| unfit(format!("a shell cannot parse this command: {why}")))?;
    if text.contains("$CMDLINE_OPTS") {
        return Err(unfit("kmod would put options in place of $CMDLINE_OPTS in this command"));
    }
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(unfit("the command holds a control character"));
    }
    let mut edits = Vec::new();
    let mut remarks = Vec::new();
    for simple in &parsed.commands {
        edits.extend(edit(text, simple, owner, names, &mut remarks)?);
    }
    let mut text = text.to_owned();
    for (range, replacement) in edits.into_iter().rev() {
        text.replace_range(range, &replacement);
    }
    Ok(Rewritten { text: text.trim_end().to_owned(), remarks })
}

fn unfit(why: impl Into<String>) -> Question {
    Question::new(Kind::Command, why)
}

type Edit = (Range<usize>, String);

/// The words that may stand before a command's name.
const PREFIXES: [&str; 10] = ["{", "!", "if", "then", "else", "elif", "while", "until", "do", "exec"];

fn edit(
    text: &str,
    simple: &Simple,
    owner: Option<&str>,
    names: &dyn Names,
    remarks: &mut Vec<String>,
) -> Result<Vec<Edit>, Question> {
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
        Some("modprobe") => modprobe(text, command, arguments, owner, names, remarks),
        Some("insmod") => insmod(text, command, arguments, names, remarks),
        Some("rmmod") => rmmod(command, arguments, names),
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
    names: &dyn Names,
    remarks: &mut Vec<String>,
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
    let all_are_names = removes || has('a');
    for (index, (word, raw)) in rest.iter().enumerate() {
        match word.value.as_deref() {
            Some(value) if index == 0 || all_are_names => {
                line.extend(todays_name(value, raw, owner.filter(|_| !removes), names)?);
            }
            _ => line.extend(todays_parameter(rest[0].0, word, raw, names, remarks)),
        }
    }
    Ok(vec![(whole(command, words), line.join(" "))])
}

/// A parameter after a module's name; `None` when it is left out.
fn todays_parameter(
    module: &Word,
    word: &Word,
    raw: &str,
    names: &dyn Names,
    remarks: &mut Vec<String>,
) -> Option<String> {
    let (Some(module), Some(value)) =
        (&module.value, word.value.as_deref().filter(|value| value.contains('=')))
    else {
        return Some(raw.to_owned());
    };
    match names.parameter(module_name(module), value) {
        Ok(today) if today == *value => Some(raw.to_owned()),
        Ok(today) => Some(shell::quote(&today)),
        Err(why) => {
            remarks.push(why);
            None
        }
    }
}

/// The module that insmod is given by name or by file.
fn module_name(value: &str) -> &str {
    let file = value.rsplit('/').next().unwrap_or(value);
    file.strip_suffix(".o").unwrap_or(file)
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
    names: &dyn Names,
) -> Result<Vec<String>, Question> {
    let name = loadable(value, names)?;
    let own = owner.is_some_and(|owner| same(owner, &name));
    let word = if name == value { raw.to_owned() } else { shell::quote(&name) };
    Ok(own.then(|| "--ignore-install".to_owned()).into_iter().chain([word]).collect())
}

/// insmod with a module's name is gone: modprobe does it, past the module's own install line as insmod did.
fn insmod(
    text: &str,
    command: &Word,
    words: &[Word],
    names: &dyn Names,
    remarks: &mut Vec<String>,
) -> Result<Vec<Edit>, Question> {
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
    let name = loadable(module_name(value), names)?;
    line.push("--ignore-install".to_owned());
    line.push(shell::quote(&name));
    line.extend(
        parameters.iter().filter_map(|(given, raw)| todays_parameter(word, given, raw, names, remarks)),
    );
    Ok(vec![(whole(command, words), line.join(" "))])
}

fn rmmod(command: &Word, words: &[Word], names: &dyn Names) -> Result<Vec<Edit>, Question> {
    let has = |letter: char| {
        words.iter().filter_map(|word| word.value.as_deref()).any(|value| {
            value
                .strip_prefix('-')
                .is_some_and(|letters| !letters.starts_with('-') && letters.contains(letter))
        })
    };
    let modules: Vec<&str> = words
        .iter()
        .filter_map(|word| word.value.as_deref())
        .filter(|value| !value.starts_with('-'))
        .collect();
    let is_gone = |name: &&str| matches!(names.member(name), Member::Missing(_));
    if !modules.is_empty() && modules.iter().all(is_gone) {
        // nothing of that name can be loaded, so there is nothing to remove
        Ok(vec![(whole(command, words), ":".to_owned())])
    } else if has('a') {
        Ok(vec![(whole(command, words), AUTOCLEAN.to_owned())])
    } else if has('r') {
        Err(unfit("`rmmod -r` is gone: write `modprobe -r NAME`"))
    } else {
        Ok(words.iter().filter_map(|word| renamed(word, names)).collect())
    }
}

/// A module that rmmod removes, in its name of today.
fn renamed(word: &Word, names: &dyn Names) -> Option<Edit> {
    let name = word.value.as_deref().filter(|value| !value.starts_with('-'))?;
    match names.member(name) {
        Member::Name(today) if !same(&today, name) => Some((word.range.clone(), shell::quote(&today))),
        _ => None,
    }
}

fn loadable(name: &str, names: &dyn Names) -> Result<String, Question> {
    match names.member(name) {
        Member::Name(today) => Ok(today),
        Member::Off => Ok(name.to_owned()),
        Member::Missing(why) => Err(unfit(format!("the command loads {name}: {why}"))),
    }
}

fn same(a: &str, b: &str) -> bool {
    underscored(a) == underscored(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Few;

    impl Names for Few {
        fn member(&self, name: &str) -> Member {
            member(name)
        }

        fn parameter(&self, module: &str, word: &str) -> Result<String, String> {
            match (module, word.split_once('=')) {
                ("bttv", Some(("tuner_type", value))) => Ok(format!("tuner={value}")),
                ("bttv", Some(("old", _))) => Err("old= is gone".to_owned()),
                _ => Ok(word.to_owned()),
            }
        }
    }

    fn member(name: &str) -> Member {
        match name {
            "gone" => Member::Missing("no kernel of today has it".to_owned()),
            "serial" => Member::Name("8250".to_owned()),
            other => Member::Name(other.to_owned()),
        }
    }

    fn today(text: &str) -> Result<String, Question> {
        rewrite(text, Some("bttv"), &Few).map(|rewritten| rewritten.text)
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
            (
                "insmod bttv.o tuner_type=5 old=1 card=3",
                "/sbin/modprobe --ignore-install bttv tuner=5 card=3",
            ),
            ("modprobe bttv \"tuner_type=a b\" x", "modprobe --ignore-install bttv 'tuner=a b' x"),
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
}
