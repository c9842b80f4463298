use super::*;
use crate::helper::modprobe::named_by_modprobe;
use crate::modules::kernel::Loaded;
use proptest::prelude::*;

/// `NAME REFERENCES USER,USER`, as in `/proc/modules`; a `+` after the name: not live, a `^`: its
/// interface is up.
fn view(lines: &[&str]) -> View {
    let mut view = View::default();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let name = words[0].trim_end_matches(['+', '^']).to_owned();
        if words[0].ends_with('^') {
            view.drivers.insert(name.clone());
        }
        let users = words.get(2).map_or(Vec::new(), |users| users.split(',').map(str::to_owned).collect());
        let references = words[1].parse().unwrap();
        view.loaded.insert(name, Loaded { references, users, live: !words[0].ends_with('+') });
    }
    view
}

fn ours(names: &[&str], idle: bool) -> OurModules {
    names.iter().map(|name| ((*name).to_owned(), Ours { identity: 1, idle })).collect()
}

fn names<'a>(found: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    found.into_iter().map(String::as_str).collect()
}

#[test]
fn what_is_unused() {
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str]);
    let table: &[Case] = &[
        ("nothing uses it", &["dummy"], &["dummy 0"], &["dummy"]),
        ("not ours", &[], &["dummy 0"], &[]),
        ("not loaded", &["dummy"], &["other 0"], &[]),
        ("in use", &["vfat"], &["vfat 1"], &[]),
        ("being loaded", &["dummy"], &["dummy+ 0"], &[]),
        ("being unloaded", &["dummy"], &["dummy+ -1"], &[]),
        ("its interface is up", &["e1000"], &["e1000^ 0"], &[]),
        ("ours and what it pulled in", &["vfat", "fat"], &["vfat 0", "fat 1 vfat"], &["fat", "vfat"]),
        ("used by one loaded by hand", &["fat"], &["vfat 0", "fat 1 vfat"], &[]),
        ("pulled in, but there before", &["vfat"], &["vfat 0", "fat 1 vfat"], &["vfat"]),
        ("what uses it is in use", &["vfat", "fat"], &["vfat 1", "fat 1 vfat"], &[]),
        ("also used by no module", &["vfat", "fat"], &["vfat 0", "fat 2 vfat"], &["vfat"]),
        ("cannot be unloaded", &["stay"], &["stay 1 [permanent]"], &[]),
        ("a chain, in use at its end", &["a", "b", "c"], &["a 1 b", "b 1 c", "c 1"], &[]),
        ("a chain, unused", &["a", "b", "c"], &["a 1 b", "b 1 c", "c 0"], &["a", "b", "c"]),
        ("two users, one not ours", &["a", "b"], &["a 2 b,c", "b 0", "c 0"], &["b"]),
        ("below a driver whose interface is up", &["a", "b"], &["a 1 b", "b^ 0"], &[]),
    ];
    for (case, mine, lines, wanted) in table {
        let found = unused(&ours(mine, false), &view(lines));
        assert_eq!(names(&found), *wanted, "{case}");
    }
}

#[test]
fn only_what_was_idle_before_and_has_no_user_is_due() {
    let view = view(&["vfat 0", "fat 1 vfat", "dummy 0"]);
    assert_eq!(due(&ours(&["vfat", "fat", "dummy"], false), &view), [""; 0]);
    let mut mine = ours(&["vfat", "fat"], true);
    mine.extend(ours(&["dummy"], false));
    assert_eq!(due(&mine, &view), ["vfat"]);
}

#[test]
fn a_sweep_says_what_became_of_each() {
    let view = view(&["fat 1 hand", "hand 0", "idle 0", "busy 2", "net^ 0", "loading+ 0", "refused 0"]);
    let mut mine = ours(&["fat", "idle", "busy", "net", "loading", "refused"], true);
    let refused = [("refused".to_owned(), nix::Error::EBUSY)].into();
    let swept = mark(&mut mine, &view, vec!["gone".to_owned()], &refused);
    assert_eq!(
        swept.to_string(),
        "gone: unloaded\n\
         idle: unused, goes at the next sweep if it still is\n\
         busy: stays, in use (count 2)\n\
         fat: stays, used by hand\n\
         loading: stays, being loaded or unloaded\n\
         net: stays, its network interface is up\n\
         refused: stays, the kernel refuses: Device or resource busy\n"
    );
    assert_eq!(names(mine.iter().filter(|(_, our)| our.idle).map(|(name, _)| name)), ["idle"]);
}

#[test]
fn what_modprobe_names() {
    let output = "builtin crc32\n\
                  insmod /lib/modules/6.1.0/kernel/net/802/p8022.ko \n\
                  insmod /lib/modules/6.1.0/kernel/fs/fat/fat.ko.xz\n\
                  insmod /lib/modules/6.1.0/kernel/arch/x86/crypto/crc32c-intel.ko.zst debug=1 x.ko\n\
                  install /sbin/modprobe --ignore-install other && touch /x.ko\n\
                  insmod\n\
                  insmod /not-a-module\n\n";
    assert_eq!(names(&named_by_modprobe(output)), ["crc32c_intel", "fat", "p8022"]);
}

/// Modules 0..n, each of which may use lower ones; so no ring can arise, as none can in a kernel.
#[derive(Clone, Debug)]
struct World {
    /// Used otherwise, ours, marked idle; and which lower ones it uses, as bits.
    modules: Vec<(bool, bool, bool, u16)>,
}

impl World {
    fn name(number: usize) -> String {
        format!("m{number:02}")
    }

    fn users(&self, number: usize) -> Vec<String> {
        let uses = |user: &usize| self.modules[*user].3 >> number & 1 == 1;
        (number + 1..self.modules.len()).filter(uses).map(Self::name).collect()
    }

    fn view(&self) -> View {
        let module = |number: usize| {
            let users = self.users(number);
            let references = i32::try_from(users.len()).unwrap() + i32::from(self.modules[number].0);
            (Self::name(number), Loaded { references, users, live: true })
        };
        View { loaded: (0..self.modules.len()).map(module).collect(), ..View::default() }
    }

    fn ours(&self) -> OurModules {
        let all = self.modules.iter().enumerate().filter(|(_, module)| module.1);
        all.map(|(number, module)| (Self::name(number), Ours { identity: 1, idle: module.2 })).collect()
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let module = (prop::bool::weighted(0.2), prop::bool::weighted(0.8), any::<bool>(), any::<u16>());
    prop::collection::vec(module, 0..12).prop_map(|mut modules| {
        // Few uses: two random masks in one.
        for (number, module) in modules.iter_mut().enumerate() {
            module.3 &= module.3.rotate_left(7) & ((1 << number) - 1);
        }
        World { modules }
    })
}

proptest! {
    #[test]
    fn the_unused_are_all_that_can_go_and_no_more(world in worlds()) {
        let (ours, view) = (world.ours(), world.view());
        // From the top down: each module's users are known before it.
        let mut wanted = BTreeSet::new();
        for number in (0..world.modules.len()).rev() {
            let (in_use, is_ours, ..) = world.modules[number];
            if is_ours && !in_use && world.users(number).iter().all(|user| wanted.contains(user)) {
                wanted.insert(World::name(number));
            }
        }
        prop_assert_eq!(unused(&ours, &view), wanted);
    }

    #[test]
    fn due_are_ours_idle_before_and_of_no_use_to_anyone(world in worlds()) {
        let (ours, view) = (world.ours(), world.view());
        for name in due(&ours, &view) {
            prop_assert!(ours[&name].idle);
            prop_assert_eq!(view.loaded[&name].references, 0);
        }
    }

    #[test]
    fn any_text_of_modprobe_gives_names_without_slash_or_dash(text in ".*|(insmod /[a-z/.-]*ko[a-z.]* ?\n)*") {
        for name in named_by_modprobe(&text) {
            prop_assert!(!name.contains(['/', '-', ' ']), "{name}");
        }
    }
}
