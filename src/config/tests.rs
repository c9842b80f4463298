use super::*;
use crate::config::file::ten_seconds;
use crate::order::name::ModuleName;

fn mistake(text: &str) -> String {
    parse(text, Path::new("k.toml")).unwrap_err().to_string()
}

#[test]
fn nothing_said_means_defaults() {
    assert_eq!(parse("", Path::new("k.toml")).unwrap(), Config::default());
}

/// Each mistake, the line it is in, and what must be said of it.
const MISTAKES: &[(&str, u32, &str)] = &[
    (
        "[queue]\nmodus = \"0660\"",
        2,
        "unknown field `modus`, expected one of `mode`, `group`, `byte-order`; did you mean `mode`?",
    ),
    ("\n[helper]\nat-once = 1", 2, "did you mean `helpers`?"),
    ("modprob = \"/x\"", 1, "did you mean `modprobe`?"),
    ("[helpers]\nat_once = 5", 2, "did you mean `at-once`?"),
    ("[intake]\nUser = \"x\"", 2, "did you mean `user`?"),
    ("[modules]\nalow = []", 2, "did you mean `allow`?"),
    ("[route]\ntimelimit = 5", 2, "did you mean `time-limit`?"),
    ("[blanker]\nhelp = 5", 2, "did you mean `helper`?"),
    ("[journal]\nbytes = 5", 2, "did you mean `size`?"),
    ("[persist]\nget = 9", 2, "did you mean `get-number`?"),
    ("[persist.settings]\nppp = \"all-writeable\"", 2, "did you mean `all-writable`?"),
    ("[[system]]\ntext = \"a\"\nargs = [\"/x\"]", 3, "did you mean `argv`?"),
    ("[[system]]\ntext = \"a\"", 1, "missing field `argv`"),
    ("[[system]]\ntext = \"\"\nargv = [\"/x\"]", 2, "1 to 1012 bytes"),
    ("[[system]]\ntext = \"a\"\nargv = [\"x\"]", 3, "absolute path"),
    ("[[system]]\ntext = \"a\"\nargv = []", 3, "absolute path"),
    ("[[system]]\ntext = \"a\"\nargv = [\"/x\"]\ntime-limit = 0", 4, "from 1 to 3600"),
    (
        "[[system]]\ntext = \"a\"\nargv = [\"/x\"]\n[[system]]\nargv = [\"/y\"]\ntext = \"a\"",
        6,
        "\"a\" is listed twice",
    ),
    ("[queue]\n\nmode = \"rw\"", 3, "octal digits in quotes"),
    ("[queue]\nmode = 660", 2, "octal digits in quotes"),
    ("[queue]\nmode = \"1777\"", 2, "octal digits in quotes"),
    ("[queue]\nmode = \"+66\"", 2, "octal digits in quotes"),
    ("[helpers]\nat-once = 0", 2, "a whole number from 1 to 1000"),
    ("[helpers]\nat-once = 1001", 2, "integer `1001`, expected a whole number from 1 to 1000"),
    ("[helpers]\nbusy-limit = -1", 2, "a whole number of seconds from 0 to 3600"),
    ("[helpers]\nbusy-limit = 1.5", 2, "a whole number of seconds from 0 to 3600"),
    ("[helpers]\nbusy-limit = \"5s\"", 2, "a whole number of seconds from 0 to 3600"),
    ("[route]\ntime-limit = 3601", 2, "a whole number of seconds from 1 to 3600"),
    ("[route]\nhelper = \"bin/route\"", 2, "an absolute path"),
    ("[blanker]\nhelper = \"\"", 2, "an absolute path"),
    ("modprobe = \"modprobe\"", 1, "an absolute path"),
    ("[modules]\nallow = \"ppp\"", 2, "expected a sequence"),
    ("[modules]\nallow = [\n  \"ppp\",\n  \"snd/*\",\n]", 4, "'/', which no name may"),
    ("[modules]\ndeny = [\"\"]", 2, "empty pattern"),
    ("[journal]\nsize = 1", 2, "from 65536 to 1073741824"),
    ("[persist]\nget-number = 2", 2, "2 is kerneld's request_module"),
    ("[persist]\nset-number = 255", 2, "from 1 to 254"),
    ("[persist]\nset-number = 9", 2, "both 9"),
    ("[persist]\nset-number = 20\nget-number = 20", 3, "both 20"),
    ("[persist.settings]\nppp = [\"/etc/passwd\"]", 2, "below /proc/sys"),
    ("[persist.settings]\nppp = [\"/proc/sys/../../etc/passwd\"]", 2, "below /proc/sys"),
    ("[persist.settings]\nppp = [\"../x\"]", 2, "below /proc/sys"),
    ("[persist.settings]\nppp = 5", 2, "a list of parameters, or \"all-writable\""),
    ("[persist.settings]\n\"a b\" = []", 2, "holds the byte ' '"),
    ("[persist.settings]\nsnd-pcm = []\n\nsnd_pcm = []", 4, "\"snd_pcm\" is listed twice"),
    ("[queue]\n[queue]", 2, "duplicate key"),
    ("[queue\n", 1, "unclosed table"),
];

#[test]
fn each_mistake_is_told_in_one_line_with_file_line_and_nearest_word() {
    let as_it_should = |told: &str, line: &u32, what: &str| {
        told.starts_with(&format!("k.toml:{line}: ")) && told.contains(what) && !told.contains('\n')
    };
    for (text, line, what) in MISTAKES {
        let told = mistake(text);
        assert!(as_it_should(&told, line, what), "{text}\ntold:   {told}\nwanted: line {line}, {what}");
    }
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_file_with_what_to_write() {
    let text = "[queue]\nmode = 0666\nmodus = 1\n[quue]\nx = 1\n[system]\ntext = \"a\"\n[modules]\n\
                allow = \"ppp\"\n[helpers]\nat-once = 0\n";
    let told: Vec<String> =
        super::mistakes(text, Path::new("k.toml")).iter().map(ToString::to_string).collect();
    let wanted = [
        ("k.toml:2: ", "mode = \"0666\""),
        ("k.toml:3: ", "did you mean `mode`?"),
        ("k.toml:4: ", "did you mean `queue`?"),
        ("k.toml:6: ", "[[system]]"),
        ("k.toml:9: ", "allow = [\"ppp\"]"),
        ("k.toml:11: ", "1 to 1000"),
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (told, (place, what)) in told.iter().zip(wanted) {
        assert!(told.starts_with(place) && told.contains(what), "{told}");
    }
}

const EXAMPLE: &str = include_str!("../../docs/kerneld.toml");
const MANUAL: &str = include_str!("../../docs/man/kerneld.toml.5");

fn accepted(text: &str) -> Config {
    parse(text, Path::new("k.toml")).unwrap()
}

#[test]
fn the_example_states_the_defaults() {
    assert_eq!(accepted(EXAMPLE), Config::default());
}

/// A key follows its `#` at once; prose has a space between.
#[test]
fn what_the_example_comments_out_is_right_too() {
    let is_key = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let uncomment = |line| str::strip_prefix(line, "#").filter(|line| is_key(line)).unwrap_or(line);
    let config = accepted(&EXAMPLE.lines().map(uncomment).collect::<Vec<_>>().join("\n"));
    let [command] = &config.system[..] else { panic!("{:?}", config.system) };
    assert_eq!(command.text, "/sbin/nwmsg /mnt/netware");
    assert_eq!(command.argv, ["/sbin/nwmsg", "/mnt/netware"]);
    assert_eq!(command.time_limit, ten_seconds());
    let sound = ModuleName::new(b"snd-hda-intel").unwrap();
    assert_eq!(config.persist.settings[&sound], ParametersOf::AllWritable);
}

#[test]
fn the_manuals_example_is_right() {
    let (_, example) = MANUAL.split_once("\n.EX\n").unwrap();
    let config = accepted(example.split("\n.EE").next().unwrap());
    assert!(config.modules.allows(&ModuleName::new(b"ppp_deflate").unwrap()).is_ok());
    assert!(config.modules.allows(&ModuleName::new(b"usb-storage").unwrap()).is_err());
}

/// The keys that may stand below `header`, as the parser names them; `None` if that is not a table of keys.
fn keys(header: &str) -> Option<Vec<String>> {
    let told = mistake(&format!("{header}\n\"?\" = 1"));
    let known = told.split_once("unknown field `?`, expected ")?.1.split("; did you mean").next()?;
    Some(diagnostics::words(known).map(str::to_owned).collect())
}

/// Below `head`, up to the next `end`.
fn section<'a>(text: &'a str, head: &str, end: &str) -> &'a str {
    let (_, below) = text.split_once(head).unwrap_or_else(|| panic!("there is no {head}"));
    below.split(end).next().unwrap_or_default()
}

fn documented(keys: &[String], example: &str, manual: &str) {
    for key in keys {
        let (value, table) = (format!("{key} = "), format!(".{key}]"));
        let states = |line: &str| line.trim_start_matches('#').starts_with(&value) || line.ends_with(&table);
        assert!(example.lines().any(states), "kerneld.toml says nothing of {key}:\n{example}");
        let name = format!(".BI {} \" = ", key.replace('-', "\\-"));
        assert!(manual.contains(&name), "kerneld.toml(5) says nothing of {key}:\n{manual}");
    }
}

#[test]
fn every_key_is_in_the_example_and_in_the_manual() {
    // Of a table within a table, the header is a line like others.
    let example = EXAMPLE.replace("\n#[[", "\n[[").replace("\n[persist.", "\n#[persist.");
    let (mut tables, mut plain) = (0, Vec::new());
    for key in keys("").unwrap() {
        let headers = [format!("[{key}]"), format!("[[{key}]]")];
        match headers.iter().find_map(|header| Some((header, keys(header)?))) {
            None => plain.push(key),
            Some((header, below)) => {
                tables += 1;
                let example = section(&example, &format!("\n{header}\n"), "\n\n[");
                documented(&below, example, section(MANUAL, &format!("\n.SS {header}\n"), "\n.S"));
            }
        }
    }
    documented(&plain, section(&example, "", "\n["), section(MANUAL, "\n.SH KEYS\n", "\n.S"));
    assert_eq!((tables, plain.len()), (9, 1));
}

#[test]
fn a_queue_that_is_open_to_others_wants_a_list_of_names() {
    let warning = |text: &str| accepted(text).warning();
    for text in ["", "[queue]\nmode = \"0644\"", "[queue]\nmode = \"0660\"\n[modules]\nallow = [\"ppp*\"]"] {
        assert_eq!(warning(text), None, "{text}");
    }
    let all = warning("[queue]\nmode = \"0666\"\n[modules]\ndeny = [\"usb*\"]").unwrap();
    assert!(all.contains("every user") && all.contains("[modules] allow"), "{all}");
    assert!(warning("[queue]\nmode = \"0660\"\ngroup = \"modem\"").unwrap().contains("the group modem"));
}
