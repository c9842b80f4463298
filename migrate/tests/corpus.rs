//! Whole old systems, and what an expert makes of each of their lines.
//!
//! How it is written down, support/corpus.rs says.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::process::Command;

use kerneld_kmod::underscored;
use kerneld_migrate::account::{Fate, Line};
use kerneld_migrate::apply::undo;

use kerneld_migrate::plan::Plan;
use kerneld_migrate::root::Root;
use kerneld_migrate::verify::verify;
use rayon::prelude::{IntoParallelRefIterator, ParallelIterator};
use support::corpus::{copy_of, corpus, judged, systems};
use support::{live_lines, plan, real_kernel, snapshot};

/// How many of the lines that an expert decides the program has to decide.
const DECIDED_PERCENT: usize = 98;

#[test]
fn the_fates_are_those_of_the_files() {
    assert!(systems().len() >= 60);
    for system in systems() {
        let mut files: HashMap<String, Vec<String>> = HashMap::new();
        for line in judged(&system) {
            files.entry(line.file).or_default().push(line.text);
        }
        for (file, lines) in &files {
            let bytes = std::fs::read(corpus().join(&system).join(&file[1..])).expect(file);
            let text: String = match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => error.into_bytes().iter().map(|byte| char::from(*byte)).collect(),
            };
            assert_eq!(text.lines().collect::<Vec<_>>(), *lines, "{system}: {file}");
        }
        let present = snapshot(&corpus().join(&system))
            .into_keys()
            .filter(|path| corpus().join(&system).join(path).is_file());
        for path in present {
            assert!(
                files.contains_key(&format!("/{}", path.display())),
                "{system}: {} is not judged",
                path.display()
            );
        }
    }
}

/// What the program made of the corpus.
#[derive(Default)]
struct Tally {
    /// Lines that an expert decides.
    decidable: usize,
    /// Of these, the ones that the program asks a person about.
    asked: Vec<String>,
    /// Lines whose meaning the program got wrong.
    wrong: Vec<String>,
}

/// The live output lines that come from an input line.
fn output_of(plan: &Plan, line: &Line) -> Vec<String> {
    let places = line.output.iter();
    let files = places
        .filter_map(|place| Some((plan.files.iter().find(|file| *file.path == *place.file)?, place.line)));
    files
        .map(|(file, number)| file.lines[number - 1].text.clone())
        .filter(|text| !text.starts_with('#'))
        .collect()
}

/// Whether an output line holds a word: a module by any spelling, a parameter with its value.
fn holds(output: &[String], word: &str) -> bool {
    let same = |part: &str| underscored(part.trim_matches('"')) == underscored(word);
    output.iter().any(|text| {
        text.split([' ', ';', '/'])
            .any(|part| same(part) || part.split_once('=').is_some_and(|(key, _)| same(key)))
    })
}

fn judge(system: &str, plan: &Plan, tally: &mut Tally) {
    let lines: HashMap<(String, usize), &Line> =
        plan.account.lines().iter().map(|line| ((line.file.to_string(), line.number), line)).collect();
    for judged in judged(system) {
        let place = format!("{system} {}:{} `{}`", judged.file, judged.number, judged.text);
        let line = lines.get(&(judged.file.clone(), judged.number));
        let decidable = matches!(judged.mark, 'w' | 'd' | 'k');
        tally.decidable += usize::from(decidable);
        let Some(line) = line else {
            if matches!(judged.mark, 'w' | 'd' | 'q') {
                tally.wrong.push(format!("{place}: is not in the account"));
            }
            continue;
        };
        let why = line.why.join("; ");
        let output = output_of(plan, line);
        match (judged.mark, line.fate) {
            ('q', Some(Fate::NeedsAttention)) | ('k', Some(Fate::Rewritten | Fate::Dropped)) | ('+', _) => {}
            (_, Some(Fate::NeedsAttention)) => tally.asked.push(format!("{place}: {why}")),
            ('w', Some(Fate::Rewritten)) => {
                let missing: Vec<&String> =
                    judged.words.iter().filter(|word| !holds(&output, word)).collect();
                if !missing.is_empty() && line.shares.is_none() {
                    tally.wrong.push(format!("{place}: without {missing:?} in {output:?}"));
                }
            }
            ('d', Some(Fate::Dropped)) | ('.', _) => {}
            (mark, fate) => {
                tally.wrong.push(format!("{place}: {fate:?}, where {mark} is right; {why} {output:?}"))
            }
        }
    }
}

#[test]
fn an_experts_judgement_is_met() {
    let Some(kernel) = real_kernel() else { return };
    let mut tally = Tally::default();
    for system in systems() {
        let root = copy_of(&system);
        judge(&system, &plan(root.path(), Some(&kernel)), &mut tally);
    }
    let decided = tally.decidable - tally.asked.len();
    eprintln!("{decided} of {} lines decided, {} wrong", tally.decidable, tally.wrong.len());
    assert!(tally.wrong.is_empty(), "{} wrong:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
    assert!(
        decided * 100 >= tally.decidable * DECIDED_PERCENT,
        "{decided} of {} decided; asked:\n{}",
        tally.decidable,
        tally.asked.join("\n")
    );
}

/// The parameters of a module, by the real modinfo.
fn parameters(kernel: &Path, module: &str) -> BTreeSet<String> {
    let release = std::fs::read_dir(kernel.join("lib/modules"))
        .expect("modules")
        .next()
        .expect("a kernel")
        .expect("it");
    let output = Command::new("modinfo")
        .args([
            "-b".as_ref(),
            kernel.as_os_str(),
            "-k".as_ref(),
            release.file_name().as_os_str(),
            module.as_ref(),
        ])
        .env("PATH", "/sbin:/usr/sbin:/bin:/usr/bin")
        .output()
        .expect("modinfo");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| line.strip_prefix("parm:").or(line.strip_prefix("parmtype:")));
    names.filter_map(|rest| Some(rest.trim().split_once(':')?.0.to_owned())).collect()
}

#[test]
fn no_parameter_is_written_that_the_module_lacks() {
    let Some(kernel) = real_kernel() else { return };
    let mut lacking = Vec::new();
    let mut known: HashMap<String, BTreeSet<String>> = HashMap::new();
    for system in systems() {
        let root = copy_of(&system);
        let lines = live_lines(&plan(root.path(), Some(&kernel)));
        let alias = |name: &str| {
            let mut words = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
            words.find(|words| words[0] == "alias" && words[1] == name).map(|words| words[2].to_owned())
        };
        for line in lines.iter().filter(|line| line.starts_with("options ")) {
            let mut words = line.split(' ').skip(1);
            let name = words.next().expect("a name");
            let module = alias(name).unwrap_or_else(|| name.to_owned());
            let known = known.entry(module.clone()).or_insert_with(|| parameters(&kernel, &module));
            for key in words.filter_map(|word| Some(word.split_once('=')?.0)) {
                // modinfo does not show this one, which is set by a function of its own
                if !known.contains(key) && (module.as_str(), key) != ("nf_conntrack", "hashsize") {
                    lacking.push(format!("{system}: {line}: {module} has no {key}"));
                }
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
}

/// What `verify` gets wrong about a system, if anything; apply and undo are tried on the way.
fn difference(system: &str, kernel: &Path) -> Option<String> {
    let root = copy_of(system);
    let before = snapshot(root.path());
    let planned = plan(root.path(), Some(kernel));
    let report = verify(&planned).expect(system);
    support::check_commands(&planned);
    planned.apply(&mut |_| {}).expect(system);
    undo(&Root::open(root.path()).expect("the root"), false, &mut |_| {}).expect(system);
    assert_eq!(before, snapshot(root.path()), "{system}");
    // the site's own files contradict the old configuration, and no file of ours changes that
    let is_true = system == "site-conflicts";
    (report.passed() == is_true).then(|| format!("{system}:\n{}", report.table()))
}

#[test]
fn verify_finds_no_difference_and_undo_leaves_no_trace() {
    let Some(kernel) = real_kernel() else { return };
    let different: Vec<String> =
        systems().par_iter().filter_map(|system| difference(system, &kernel)).collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}
