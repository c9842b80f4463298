//! On a tree that looks like `/sys` and `/proc/sys`.

use super::*;
use tempfile::TempDir;

struct Machine {
    root: TempDir,
    listed: BTreeMap<ModuleName, ParametersOf>,
}

impl Machine {
    /// One where these modules' parameters are kept.
    fn new<const N: usize>(settings: [(&str, ParametersOf); N]) -> Self {
        let name = |name: &str| ModuleName::new(name.as_bytes()).unwrap();
        let settings = settings.into_iter().map(|(module, what)| (name(module), what)).collect();
        Machine { root: TempDir::new().unwrap(), listed: settings }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("drivers.toml")
    }

    fn save(&self, name: &str) -> Vec<String> {
        let file = self.file();
        SavedParameters { listed: self.listed.clone(), file, sysroot: self.root.path().to_owned() }.save(name)
    }

    fn restore(&self, modules: &[&str]) -> Vec<String> {
        let file = self.file();
        SavedParameters { listed: self.listed.clone(), file, sysroot: self.root.path().to_owned() }
            .restore(modules)
    }

    fn put(&self, path: &str, value: &str) {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, value).unwrap();
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap()
    }

    /// A module comes with the values that it is built with.
    fn load(&self, module: &str, parameters: &[(&str, &str)]) {
        self.put(&format!("sys/module/{module}/initstate"), "live\n");
        for (name, value) in parameters {
            self.put(&format!("sys/module/{module}/parameters/{name}"), value);
        }
    }

    fn unload(&self, module: &str) {
        fs::remove_dir_all(self.root.path().join("sys/module").join(module)).unwrap();
    }

    fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.root.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn listed(settings: &[&str]) -> ParametersOf {
    let setting = |text: &&str| match text.starts_with('/') {
        true => Parameter::ProcSys(text.into()),
        false => Parameter::OfModule((*text).to_owned()),
    };
    ParametersOf::Listed(settings.iter().map(setting).collect())
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_is_listed_survives_and_what_is_not_does_not() {
    let machine = Machine::new([("snd-card", listed(&["volume", "/proc/sys/dev/snd/beep"]))]);
    let built_in = [("volume", "10\n"), ("index", "0\n")];
    machine.load("snd_card", &built_in);
    machine.put("sys/module/snd_card/parameters/volume", "75\n");
    machine.put("sys/module/snd_card/parameters/index", "3\n");
    machine.put("proc/sys/dev/snd/beep", "1 2\n");
    assert_eq!(machine.save("snd-card"), NOTHING);
    machine.unload("snd_card");

    machine.load("snd_card", &built_in);
    machine.put("proc/sys/dev/snd/beep", "0 0\n");
    assert_eq!(machine.restore(&["soundcore", "snd_card"]), NOTHING);
    assert_eq!(machine.get("sys/module/snd_card/parameters/volume"), "75\n");
    assert_eq!(machine.get("sys/module/snd_card/parameters/index"), "0\n");
    assert_eq!(machine.get("proc/sys/dev/snd/beep"), "1 2\n");
}

#[test]
fn all_writable_means_those_that_can_be_read_and_written() {
    let machine = Machine::new([("m", ParametersOf::AllWritable)]);
    let built_in = [("a", "1\n"), ("fixed", "1\n"), ("blind", "1\n"), ("text", "(null)\n")];
    machine.load("m", &built_in);
    for (name, _) in built_in {
        machine.put(&format!("sys/module/m/parameters/{name}"), if name == "text" { "(null)" } else { "2" });
    }
    machine.set_mode("sys/module/m/parameters/fixed", 0o444);
    machine.set_mode("sys/module/m/parameters/blind", 0o200);
    assert_eq!(machine.save("m"), NOTHING);
    assert_eq!(machine.get("drivers.toml"), "[m]\n\"/sys/module/m/parameters/a\" = \"2\"\n");
    machine.unload("m");

    machine.load("m", &built_in);
    assert_eq!(machine.restore(&["m"]), NOTHING);
    assert_eq!(machine.get("sys/module/m/parameters/a"), "2\n");
    assert_eq!(machine.get("sys/module/m/parameters/fixed"), "1\n");
}

#[test]
fn a_module_that_another_uses_is_saved_with_it() {
    let machine = Machine::new([("low", ParametersOf::AllWritable), ("other", ParametersOf::AllWritable)]);
    for module in ["low", "middle", "high", "other"] {
        machine.load(module, &[("a", "1\n")]);
    }
    machine.put("sys/module/low/holders/middle", "");
    machine.put("sys/module/middle/holders/high", "");
    assert_eq!(machine.save("high"), NOTHING);
    let saved = machine.get("drivers.toml");
    assert!(saved.contains("[low]") && !saved.contains("[other]"), "{saved}");
}

#[test]
fn an_alias_saves_every_listed_module_that_is_loaded() {
    let machine = Machine::new([
        ("a", ParametersOf::AllWritable),
        ("b", ParametersOf::AllWritable),
        ("c", ParametersOf::AllWritable),
    ]);
    machine.load("a", &[("x", "1\n")]);
    machine.load("b", &[("x", "2\n")]);
    machine.put("sys/module/c/parameters/x", "built in\n");
    assert_eq!(machine.save("char-major-10"), NOTHING);
    let saved: Saved = toml::from_str(&machine.get("drivers.toml")).unwrap();
    assert_eq!(saved.keys().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn saving_one_keeps_what_was_saved_of_others() {
    let machine = Machine::new([("a", ParametersOf::AllWritable), ("b", ParametersOf::AllWritable)]);
    for module in ["a", "b"] {
        machine.load(module, &[("x", "5\n")]);
        assert_eq!(machine.save(module), NOTHING);
        machine.unload(module);
        machine.load(module, &[("x", "1\n")]);
    }
    assert_eq!(machine.restore(&["a", "b"]), NOTHING);
    assert_eq!(machine.get("sys/module/a/parameters/x"), "5\n");
    assert_eq!(machine.get("sys/module/b/parameters/x"), "5\n");
}

#[test]
fn what_fails_is_told_and_the_rest_goes_on() {
    let machine = Machine::new([("m", listed(&["gone", "a"]))]);
    machine.load("m", &[("gone", "7\n"), ("a", "7\n")]);
    assert_eq!(machine.save("m"), NOTHING);
    machine.unload("m");
    machine.load("m", &[("a", "1\n")]);
    let complaints = machine.restore(&["m"]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("/sys/module/m/parameters/gone") && complaints[0].contains("\"7\""),
        "{complaints:?}"
    );
    assert_eq!(machine.get("sys/module/m/parameters/a"), "7\n");
    assert!(!machine.root.path().join("sys/module/m/parameters/gone").exists());

    let complaints = machine.save("m");
    assert!(complaints.len() == 1 && complaints[0].contains("gone is not saved"), "{complaints:?}");
}

#[test]
fn nothing_is_written_that_is_not_listed_today() {
    let machine = Machine::new([("m", listed(&["a"]))]);
    machine.load("m", &[("a", "1\n"), ("b", "1\n")]);
    machine.put("proc/sys/kernel/x", "1\n");
    machine.put(
        "drivers.toml",
        "[m]\n\"/sys/module/m/parameters/b\" = \"9\"\n\"/proc/sys/kernel/x\" = \"9\"\n\"/sys/module/m/parameters/a\" = \"9\"\n",
    );
    assert_eq!(machine.restore(&["m"]), NOTHING);
    assert_eq!(machine.get("sys/module/m/parameters/a"), "9\n");
    assert_eq!(machine.get("sys/module/m/parameters/b"), "1\n");
    assert_eq!(machine.get("proc/sys/kernel/x"), "1\n");
}

#[test]
fn a_broken_file_is_told_with_its_line_and_left_alone() {
    let machine = Machine::new([("m", ParametersOf::AllWritable)]);
    machine.load("m", &[("a", "1\n")]);
    machine.put("drivers.toml", "[m]\na = \n");
    for complaints in [machine.save("m"), machine.restore(&["m"])] {
        assert!(complaints.len() == 1 && complaints[0].contains("drivers.toml: line 2"), "{complaints:?}");
    }
    assert_eq!(machine.get("drivers.toml"), "[m]\na = \n");
}

#[test]
fn where_nothing_is_listed_nothing_is_touched() {
    let machine = Machine::new([]);
    machine.load("m", &[("a", "1\n")]);
    assert_eq!(machine.save("m"), NOTHING);
    assert_eq!(machine.restore(&["m"]), NOTHING);
    assert!(!machine.file().exists());
}
