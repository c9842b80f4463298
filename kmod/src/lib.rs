//! Module names and modprobe's answers, as kmod (the modules' tools of today's Linux) writes and compares them.
#![forbid(unsafe_code)]

/// A module name as kmod compares names: `-` counts as `_` (libkmod's `modname_normalize`).
pub fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

/// The module in a file, in its underscored form: `kernel/drivers/net/ne2k-pci.ko.xz` holds `ne2k_pci`. `None`
/// for a path that is not that of a module.
pub fn module_of_file(path: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let (stem, _compression) = file.split_once(".ko")?;
    Some(underscored(stem))
}

/// What modprobe would do for a name: one line of `modprobe --show-depends` (`-D`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Insert a module.
    Insmod {
        /// The module, in its underscored form.
        module: String,
        /// The options, as they would be given to the kernel.
        options: String,
    },
    /// Run a command in place of a load.
    Install(String),
    /// Nothing: this module is built into the kernel (the name is in its underscored form).
    Builtin(String),
}

impl Step {
    /// Reads one line; `None` for a line of another form.
    pub fn read(line: &str) -> Option<Step> {
        let (word, rest) = line.trim_end().split_once(' ')?;
        match word {
            "install" => Some(Step::Install(rest.to_owned())),
            "builtin" => Some(Step::Builtin(underscored(rest))),
            "insmod" => {
                let (path, options) = rest.split_once(' ').unwrap_or((rest, ""));
                Some(Step::Insmod { module: module_of_file(path)?, options: options.trim_end().to_owned() })
            }
            _ => None,
        }
    }

    /// Reads the whole output of `modprobe --show-depends`, dependencies first.
    pub fn read_all(output: &str) -> impl Iterator<Item = Step> + '_ {
        output.lines().filter_map(Step::read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_their_modules() {
        for (path, module) in [
            ("kernel/drivers/net/ne2k-pci.ko.xz", Some("ne2k_pci")),
            ("/lib/modules/6.1/lp.ko", Some("lp")),
            ("lp.ko.zst", Some("lp")),
            ("kernel/net", None),
            ("", None),
        ] {
            assert_eq!(module_of_file(path).as_deref(), module, "{path}");
        }
    }

    #[test]
    fn every_kind_of_line_is_read() {
        let output = "insmod /lib/modules/6.1/crc32c-intel.ko \ninsmod /lib/fat.ko.xz a=1 b=\"c d\"\n\
                      builtin 8250-core\ninstall /bin/true a b\nnonsense\n";
        let steps: Vec<Step> = Step::read_all(output).collect();
        let insmod =
            |module: &str, options: &str| Step::Insmod { module: module.into(), options: options.into() };
        assert_eq!(
            steps,
            [
                insmod("crc32c_intel", ""),
                insmod("fat", "a=1 b=\"c d\""),
                Step::Builtin("8250_core".into()),
                Step::Install("/bin/true a b".into()),
            ]
        );
    }
}
