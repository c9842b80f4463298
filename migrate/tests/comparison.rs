//! docs/comparison.md: ten real-like files through three tools, and what the real modprobe then makes of each wish.
//!
//! Two of the tools are models of what is known of them: module-init-tools' generate-modprobe.conf, from runs of
//! version 3.16, and virt-v2v's rule, which changes two kinds of aliases and leaves the rest where it is.

mod support;

use std::collections::HashMap;
use std::path::Path;

use kerneld_kmod::underscored;
use kerneld_migrate::module_index::Kernel;
use kerneld_migrate::verify::modprobe::Modprobe;
use support::corpus::{Judged, copy_of, judged};
use support::{live_lines, open_places, plan, real_kernel};

/// The systems whose configuration file goes through all three.
const SYSTEMS: [&str; 10] = [
    "redhat-5.1-sndconfig",
    "redhat-6.2-firewall",
    "redhat-7.3-workstation",
    "slackware-4.0-zip-drive",
    "debian-2.1-slink-dialup",
    "suse-8.2-alsa-0.9",
    "mandrake-8.2-multimedia",
    "fibre-channel-server",
    "firewire-video-station",
    "oss-pci-collection",
];

/// The words of a directive, its comment cut.
fn words(line: &str) -> Vec<&str> {
    line.split('#').next().unwrap_or_default().split_whitespace().collect()
}

/// What generate-modprobe.conf makes of a file: aliases and options as they are, commands and lists as install lines.
fn generated(lines: &[&str]) -> Vec<String> {
    let mut out = Vec::new();
    for line in lines {
        match words(line)[..] {
            ["alias", name, "off", ..] => out.push(format!("install {name} /bin/true")),
            ["alias", name, target, ..] => {
                let every_minor = name.matches('-').count() == 2 && name.contains("-major-");
                out.push(format!("alias {name}{} {target}", if every_minor { "-*" } else { "" }));
            }
            ["options", ref rest @ ..] | ["add", "options", ref rest @ ..] => {
                out.push(format!("options {}", rest.join(" ")));
            }
            ["probeall" | "probe", name, ref members @ ..] => {
                let loads: Vec<String> =
                    members.iter().map(|name| format!("/sbin/modprobe {name}")).collect();
                out.push(format!("install {name} {}; /bin/true", loads.join("; ")));
            }
            ["above", name, ref members @ ..] => {
                let loads: Vec<String> =
                    members.iter().map(|name| format!("/sbin/modprobe {name}")).collect();
                out.push(format!(
                    "install {name} /sbin/modprobe --first-time --ignore-install {name} && {{ {}; /bin/true; }}",
                    loads.join("; ")
                ));
            }
            ["pre-install", name, ref command @ ..] => out.push(format!(
                "install {name} {{ {}; }} ; /sbin/modprobe --first-time --ignore-install {name}",
                command.join(" ")
            )),
            ["post-install", name, ref command @ ..] => out.push(format!(
                "install {name} /sbin/modprobe --first-time --ignore-install {name} && {{ {}; /bin/true; }}",
                command.join(" ")
            )),
            _ => {}
        }
    }
    out
}

/// What virt-v2v leaves behind for kmod: the old file is not among those that kmod reads, and the one line that it
/// adds is for a disk controller of the virtual machine.
fn virt_v2v(_: &[&str]) -> Vec<String> {
    vec!["alias scsi_hostadapter virtio_blk".to_owned()]
}

/// How kernels of today ask for what was asked for by a name: one form after the other, until one succeeds.
fn requests(name: &str) -> Vec<String> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match (name, stem) {
        (_, "char-major-" | "block-major-") => vec![format!("{name}-0"), name.to_owned()],
        (_, "eth" | "ppp" | "sl" | "slip" | "bond") => vec![format!("netdev-{name}"), name.to_owned()],
        ("iso9660" | "dos", _) => vec![format!("fs-{name}")],
        _ => vec![name.to_owned()],
    }
}

/// A wish of the old file that means something today.
enum Wish {
    /// A request in its forms, and the module that is to answer it.
    Load(Vec<String>, String),
    /// A module and a parameter that it is to get.
    Give(String, String),
}

fn wishes(lines: &[Judged]) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let alias: HashMap<&str, &str> = lines
        .iter()
        .filter_map(|line| match words(&line.text)[..] {
            ["alias", name, target, ..] => Some((name, target)),
            _ => None,
        })
        .collect();
    for line in lines.iter().filter(|line| line.mark == 'w') {
        let (parameters, modules): (Vec<String>, Vec<String>) =
            line.words.iter().cloned().partition(|word| word.contains('='));
        match words(&line.text)[..] {
            ["alias", name, ..] if !modules.is_empty() => {
                wishes.push(Wish::Load(requests(name), modules[modules.len() - 1].clone()));
            }
            ["options", name, ..] | ["add", "options", name, ..] => {
                let old = alias.get(name).copied().unwrap_or(name);
                let module = modules.first().cloned().unwrap_or_else(|| old.to_owned());
                wishes.extend(parameters.into_iter().map(|parameter| Wish::Give(module.clone(), parameter)));
            }
            _ => {}
        }
    }
    wishes
}

fn is_met(wish: &Wish, modprobe: &Modprobe) -> bool {
    match wish {
        Wish::Load(requests, module) => {
            let mut answered =
                requests.iter().filter(|name| modprobe.resolve(name).expect("modprobe").success);
            answered.next().is_some_and(|request| loads(request, module, modprobe))
        }
        Wish::Give(module, parameter) => {
            let answer = modprobe.ask(&["-q", "-D", "--", module]).expect("modprobe");
            answer.lines.iter().any(|line| line.split(' ').any(|word| word == parameter))
        }
    }
}

/// Whether a request leads to a module, by an alias or by an install line that names it.
fn loads(request: &str, module: &str, modprobe: &Modprobe) -> bool {
    let named = modprobe.resolve(request).expect("modprobe").lines;
    let steps = modprobe.ask(&["-q", "-D", "--", request]).expect("modprobe").lines;
    let commands = steps.iter().filter(|line| line.starts_with("install "));
    let mut loaded = commands.flat_map(|line| line.split([' ', ';'])).map(underscored);
    named.contains(&underscored(module)) || loaded.any(|name| name == underscored(module))
}

/// How many lines name a module that the kernel does not have.
fn dead(lines: &[String], kernel: &Kernel) -> usize {
    let exists = |name: &str| kernel.has_module(name) || kernel.is_builtin(name);
    let installed: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("install ")?.split(' ').next()).collect();
    let aliases: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("alias ")?.split(' ').next()).collect();
    let is_dead = |line: &&String| match words(line)[..] {
        ["alias", _, target, ..] => !exists(target) && !installed.contains(&target),
        ["options", name, ..] => !exists(name) && !aliases.contains(&name),
        _ => false,
    };
    lines.iter().filter(is_dead).count()
}

/// `MET of WISHES, DEAD dead`.
fn cell(lines: &[String], wishes: &[Wish], kernel: &Kernel) -> String {
    let directory = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(directory.path().join("tool.conf"), lines.join("\n") + "\n").expect("a file");
    let modprobe = Modprobe { kernel, configuration: directory.path() };
    let met = wishes.iter().filter(|wish| is_met(wish, &modprobe)).count();
    format!("{met} of {}, {} dead", wishes.len(), dead(lines, kernel))
}

fn row(system: &str, root: &Path, kernel_root: &Path, kernel: &Kernel) -> String {
    let lines: Vec<Judged> = judged(system)
        .into_iter()
        .filter(|line| line.file.ends_with("modules") || line.file.ends_with(".conf"))
        .collect();
    let old: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let wishes = wishes(&lines);
    let plan = plan(root, Some(kernel_root));
    let mut ours = live_lines(&plan);
    ours.retain(|line| line.contains(' ') && !line.contains(" = "));
    let asked = open_places(&plan)
        .iter()
        .filter(|place| place.contains(".conf:") || place.contains("modules:"))
        .count();
    format!(
        "| {system} | {} | {} | {} | {}, {asked} asked |",
        old.iter().filter(|line| !words(line).is_empty()).count(),
        cell(&generated(&old), &wishes, kernel),
        cell(&virt_v2v(&old), &wishes, kernel),
        cell(&ours, &wishes, kernel),
    )
}

#[test]
fn the_page_shows_what_the_three_do() {
    let Some(kernel_root) = real_kernel() else { return };
    let kernel = Kernel::open(&kernel_root, None).expect("a kernel");
    let page = std::fs::read_to_string(support::top().join("docs/comparison.md")).expect("the page");
    let mut missing = Vec::new();
    for system in SYSTEMS {
        let root = copy_of(system);
        let row = row(system, root.path(), &kernel_root, &kernel);
        if !page.contains(&row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "docs/comparison.md lacks:\n{}", missing.join("\n"));
}
