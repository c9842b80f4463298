//! Commands around a load that would stand in its way today, and switches for what an alias cannot switch off.

use kerneld_kmod::underscored;

use super::lines::Writer;
use crate::account::{Kind, LineId, Question};
use crate::new::compose::part;
use crate::old::modules_conf::CommandKind;
use crate::old::shell::{self, Parsed};

/// A module that so many others need is loaded before any of them, whatever was asked for.
const CORE: usize = 20;

/// What is in /proc today, besides processes (Linux 6.1, amd64 and others, with every option on).
const PROC: [&str; 62] = [
    "acpi",
    "asound",
    "bootconfig",
    "buddyinfo",
    "bus",
    "cgroups",
    "cmdline",
    "config.gz",
    "consoles",
    "cpu",
    "cpuinfo",
    "crypto",
    "device-tree",
    "devices",
    "diskstats",
    "dma",
    "driver",
    "dynamic_debug",
    "execdomains",
    "fb",
    "filesystems",
    "fs",
    "interrupts",
    "iomem",
    "ioports",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "loadavg",
    "locks",
    "mdstat",
    "meminfo",
    "misc",
    "modules",
    "mounts",
    "mtd",
    "mtrr",
    "net",
    "pagetypeinfo",
    "partitions",
    "pressure",
    "schedstat",
    "scsi",
    "self",
    "slabinfo",
    "softirqs",
    "stat",
    "swaps",
    "sys",
    "sysrq-trigger",
    "sysvipc",
    "thread-self",
    "timer_list",
    "tty",
    "uptime",
];

/// Programs of ours or of kmod's, which are always there.
const TOOLS: [&str; 5] = ["modprobe", "insmod", "rmmod", "depmod", "kerneld"];

impl Writer<'_> {
    /// A command as a part of an install line, so that a helper program that is lost cannot keep the module from
    /// being loaded.
    pub(super) fn guarded(&mut self, kind: CommandKind, owner: &str, text: &str) -> Result<String, Question> {
        let unfit = |why: String| Err(Question::new(Kind::Command, why));
        if let Some(path) = gone_from_proc(text) {
            return unfit(format!("{path} does not exist today, so the command fails"));
        }
        let parsed = shell::parse(text).unwrap_or_default();
        let Some(program) = program(&parsed) else { return Ok(part(text)) };
        if self.dependents(owner) >= CORE {
            return unfit(format!(
                "{owner} is loaded before {} drivers that need it: {program} would run too early, and when it \
                 fails, so does each of them",
                self.dependents(owner)
            ));
        }
        let is_gone = program.starts_with('/') && self.is_absent(&program);
        if is_gone && kind != CommandKind::PostInstall && !is_tolerant(&parsed) {
            return unfit(format!("{program} is not there, and without it {owner} would not be loaded"));
        }
        let needs_guard = program.starts_with('/') && kind != CommandKind::Install && !is_tolerant(&parsed);
        Ok(if needs_guard { format!("{{ [ ! -x {program} ] || {}; }}", part(text)) } else { part(text) })
    }

    /// How many modules need another one.
    fn dependents(&self, module: &str) -> usize {
        self.kernel.map_or(0, |kernel| kernel.dependents(module))
    }

    /// Whether a program is surely not there: the folder that it would be in was given, and it is not in it.
    fn is_absent(&self, program: &str) -> bool {
        let depth = if program.starts_with("/usr/") { 3 } else { 2 };
        let folder: Vec<&str> = program.splitn(depth + 1, '/').take(depth).collect();
        self.root.is_directory(&folder.join("/")) && !self.root.exists(program)
    }

    /// Something that is built into the kernel and answers one of these requests.
    pub(super) fn built_in_answer(&self, forms: &[String]) -> Option<String> {
        let kernel = self.kernel?;
        let answers = |form: &String| {
            let names = match form.ends_with('*') {
                true => kernel.aliases().of_pattern(form).iter().map(String::as_str).collect(),
                false => kernel.aliases().answer(form),
            };
            let mut names = names.into_iter().chain([form.as_str()]);
            names.find(|name| kernel.is_builtin(name)).map(str::to_owned)
        };
        forms.iter().find_map(answers)
    }

    /// `off` for something that is built in: no alias keeps it from working, so a person has to use its own switch.
    pub(super) fn off_of_built_in(&mut self, name: &str, module: &str, lines: &[LineId]) {
        let why = match self.switch(module) {
            Some(switch) => {
                format!("{name} is {module}, which is built into the kernel and stays on: {switch}")
            }
            None => {
                format!(
                    "{name} is {module}, which is built into the kernel and stays on; it has no switch of its own"
                )
            }
        };
        self.refuse_for(lines, Kind::SwitchedOff, &why);
    }

    /// Whether an options line switched its module off (`options ipv6 disable=1`): lost, that would go unnoticed.
    pub(super) fn switches_off(&self, name: &str, line: LineId) -> bool {
        let words = self.meaning.options.get(name).into_iter().flat_map(|options| &options.words);
        words.filter(|word| word.line == line).any(|word| match word.text.split_once('=') {
            Some(("disable" | "disabled" | "off" | "disable_ipv6", value)) => value != "0",
            Some(("enable" | "enabled", value)) => value == "0",
            _ => false,
        })
    }

    /// How something that is built in is switched off: by what is known of it, then by its parameters.
    fn switch(&self, module: &str) -> Option<String> {
        match underscored(module).as_str() {
            "ipv6" => {
                return Some(
                    "boot with ipv6.disable=1, or set the sysctls net.ipv6.conf.all.disable_ipv6 = 1 and \
                     net.ipv6.conf.default.disable_ipv6 = 1"
                        .to_owned(),
                );
            }
            "agpgart" => return Some("boot with agp=off".to_owned()),
            "8250" | "8250_core" => return Some("boot with 8250.nr_uarts=0".to_owned()),
            _ => {}
        }
        let parameters = self.kernel?.parameters(module)?;
        let switches = [("disable", 1), ("off", 1), ("disabled", 1), ("enable", 0), ("enabled", 0)];
        let (name, value) = switches.into_iter().find(|(name, _)| parameters.has(name))?;
        Some(format!("boot with {}.{name}={value}", underscored(module)))
    }
}

/// The first program that a command runs, unless it is one of kmod's or ours, or part of the shell.
fn program(parsed: &Parsed) -> Option<String> {
    let first = parsed.commands.iter().find_map(|simple| simple.first()?.value.clone())?;
    let name = first.rsplit('/').next().unwrap_or(&first);
    let is_shells =
        !first.contains('/') && matches!(name, "" | ":" | "true" | "false" | "echo" | "[" | "test" | "if");
    (!TOOLS.contains(&name) && !is_shells && !name.contains('=')).then_some(first)
}

/// Whether a command ends well whatever happens: `… || :`, `…; true`, `… &`.
fn is_tolerant(parsed: &Parsed) -> bool {
    let last = parsed.commands.last().and_then(|simple| simple.first()?.value.as_deref());
    let is_true = |word: &str| matches!(word.rsplit('/').next(), Some(":" | "true"));
    parsed.background || parsed.compound && last.is_some_and(is_true)
}

/// A path in /proc that a command uses and that no kernel of today has.
fn gone_from_proc(text: &str) -> Option<&str> {
    text.match_indices("/proc/").find_map(|(at, _)| {
        let path = text[at..].split([' ', '\t', ';', '"', '\'', ')', '|', '&', '<', '>']).next()?;
        let first = path["/proc/".len()..].split('/').next()?;
        (!is_in_proc(first)).then_some(path)
    })
}

/// Whether /proc has a first component of that name today, or may have: a shell puts its value in.
fn is_in_proc(first: &str) -> bool {
    let is_known = PROC.contains(&first) || first.is_empty() || first.contains(['$', '*', '?', '[', '`']);
    let is_process = first.bytes().all(|byte| byte.is_ascii_digit());
    is_known || is_process
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_left_proc_are_seen() {
        for (text, gone) in [
            ("echo 7 > /proc/parport/0/irq", Some("/proc/parport/0/irq")),
            ("cat /proc/pci >/tmp/x", Some("/proc/pci")),
            ("echo 1 >/proc/sys/net/ipv4/ip_forward", None),
            ("kill `cat /proc/1/status`; ls /proc/$$/fd /proc/*", None),
        ] {
            assert_eq!(gone_from_proc(text), gone, "{text}");
        }
    }

    #[test]
    fn commands_that_cannot_fail_are_known() {
        for (text, tolerant) in [
            ("/bin/aumix -L || :", true),
            ("/bin/a; true", true),
            ("/bin/a &", true),
            ("/bin/a", false),
            ("/bin/a; /bin/b", false),
            ("/bin/true", false),
        ] {
            assert_eq!(is_tolerant(&shell::parse(text).unwrap()), tolerant, "{text}");
        }
    }
}
