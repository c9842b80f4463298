//! What becomes of a request under the current settings, and which helper carries a task out. Nothing
//! is done here.
#![forbid(unsafe_code)]

use super::persist::PersistRequest;
use super::settings::Settings;
use crate::helper::modprobe::{self, modprobe_args};
use crate::helper::{Helper, Watch};
use crate::order::action::Action;
use crate::order::judge::{PersistNumbers, judge};
use crate::order::name::{ModuleName, Refusal};
use crate::order::task::{Task, Waiter};
use crate::queue::doubts::Doubt;
use kerneld_journal::Accepted;
use kerneld_protocol::request::{Command, Request};
use kerneld_protocol::sender::Evidence;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// A helper carries the task out, and its end is the answer.
    Run(Task),
    /// The module is released when the delay is over.
    ReleaseLater(ModuleName),
    /// Delayed releases of the module are cancelled.
    CancelRelease(ModuleName),
    /// The running screen blanker is asked to end.
    EndBlanker,
    /// A persistent value is read or changed.
    Persist(PersistRequest),
    /// kdstat's words are acted on.
    Status(String),
    /// Answered 0, since nothing needs doing; the text says why.
    Ignore(String),
    /// Answered with an error.
    Refuse(Refusal),
    /// Answered -EPERM: a system command of this text is not configured.
    RefuseCommand(String),
    /// Answered 1, as kerneld answered commands that it did not know.
    NotServed(Command),
}

/// What becomes of `verdict`. `request` is the request's number, which keeps equal system commands apart;
/// while `keep` is set, nothing is unloaded.
pub(crate) fn decide(
    verdict: Result<Action, Refusal>,
    request: u64,
    settings: &Settings,
    keep: bool,
) -> Decision {
    match verdict.and_then(|action| permitted(action, settings)) {
        Err(refusal) => Decision::Refuse(refusal),
        Ok(Action::Load(name)) => Decision::Run(Task::Load(name)),
        Ok(Action::Unload(name) | Action::UnloadLater(name)) if keep => Decision::Ignore(kept(&name)),
        Ok(Action::Unload(name)) => Decision::Run(Task::Unload(name)),
        Ok(Action::UnloadLater(name)) => Decision::ReleaseLater(name),
        Ok(Action::CancelUnload(name)) => Decision::CancelRelease(name),
        Ok(Action::Route(address)) if settings.route_helper.is_none() => {
            Decision::Ignore(format!("route to {address}, for which there is no helper"))
        }
        Ok(Action::Route(address)) => Decision::Run(Task::Route(address)),
        Ok(Action::Blanker(true)) => Decision::Run(Task::Blanker),
        Ok(Action::Blanker(false)) => Decision::EndBlanker,
        Ok(Action::System(text)) => system_command(&text, request, settings),
        Ok(Action::GetPersist(text)) => Decision::Persist(PersistRequest::Get(text)),
        Ok(Action::SetPersist(text)) => Decision::Persist(PersistRequest::Set(text)),
        Ok(Action::Status(words)) => Decision::Status(words),
        Ok(Action::Unknown(command)) => Decision::NotServed(command),
    }
}

/// A release that is ignored while `keep` is set.
pub(crate) fn kept(name: &ModuleName) -> String {
    format!("release of {name}, because keep is set")
}

/// An action that names a module, if the configuration allows that name; any other as it is.
fn permitted(action: Action, settings: &Settings) -> Result<Action, Refusal> {
    if let Action::Load(name) | Action::Unload(name) | Action::UnloadLater(name) = &action {
        settings.rules.allows(name)?;
    }
    Ok(action)
}

fn system_command(text: &[u8], request: u64, settings: &Settings) -> Decision {
    let text = String::from_utf8_lossy(text).into_owned();
    match settings.system_command(&text) {
        Some(_) => Decision::Run(Task::System(text, request)),
        None => Decision::RefuseCommand(text),
    }
}

/// What a daemon before us left unanswered and is carried out again: loads and unloads, delayed ones with
/// their whole delay. `None` for the rest, since doing it twice may not be the same.
pub(crate) fn decide_again(accepted: &Accepted) -> Option<Action> {
    let request = Request { command: accepted.command(), text: &accepted.text.0, reply: accepted.reply };
    match judge(&request, PersistNumbers::NONE) {
        Ok(action @ (Action::Load(_) | Action::Unload(_) | Action::UnloadLater(_))) => Some(action),
        _ => None,
    }
}

/// The helpers of those of these requests that are run again at once.
pub(crate) fn helpers_again(requests: &[Accepted], settings: &Settings) -> Vec<Helper> {
    let task = |accepted: &Accepted| match decide_again(accepted)? {
        Action::Load(name) => Some(Task::Load(name)),
        Action::Unload(name) => Some(Task::Unload(name)),
        _ => None,
    };
    requests.iter().filter_map(|accepted| helper_for(&task(accepted)?, settings, None).ok()).collect()
}

/// Whether its client has been answered is in doubt.
pub(crate) fn doubt(accepted: &Accepted) -> Doubt {
    let Accepted { request, reply, sender, .. } = accepted;
    let certain = sender.as_ref().filter(|sender| sender.evidence != Evidence::Queue);
    Doubt { waiter: Waiter { request: *request, reply: *reply }, sender: certain.map(|sender| sender.pid) }
}

/// The helper of a task. `trigger` is the pid that the request carries.
///
/// # Errors
/// A refusal: the configuration has changed since the request was decided on, or the kernel has loading
/// switched off.
pub(crate) fn helper_for(task: &Task, settings: &Settings, trigger: Option<i16>) -> Result<Helper, Refusal> {
    let gone = || Refusal::new(libc::ENOENT, "its helper is no longer in the configuration");
    let (path, args, watch) = match task {
        Task::Load(name) => modprobe(name, false, settings)?,
        Task::Unload(name) => modprobe(name, true, settings)?,
        Task::Route(address) => {
            let path = settings.route_helper.clone().ok_or_else(gone)?;
            (path, vec![address.to_string()], Watch::Limit(Some(settings.route_limit)))
        }
        Task::Blanker => (settings.blanker.clone(), Vec::new(), Watch::Limit(None)),
        Task::System(text, _) => {
            let command = settings.system_command(text).ok_or_else(gone)?;
            (command.path.clone(), command.args.clone(), Watch::Output(command.limit))
        }
    };
    Ok(Helper { path, args, trigger, watch })
}

type Modprobe = (std::path::PathBuf, Vec<String>, Watch);

fn modprobe(name: &ModuleName, unload: bool, settings: &Settings) -> Result<Modprobe, Refusal> {
    let path = modprobe::helper(settings.modules.modprobe.as_deref())?;
    Ok((path, modprobe_args(name, unload), Watch::Nothing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::executor::settings::Overrides;

    fn settings(text: &str) -> Settings {
        let config: Config = toml::from_str(text).unwrap();
        Settings::resolve(&config, &Overrides::default())
    }

    fn name(text: &str) -> ModuleName {
        ModuleName::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn keep_ignores_releases_and_nothing_else() {
        let decide = |action| decide(Ok(action), 1, &settings(""), true);
        for action in [Action::Unload(name("a")), Action::UnloadLater(name("a"))] {
            assert!(matches!(decide(action), Decision::Ignore(_)));
        }
        assert!(matches!(decide(Action::Load(name("a"))), Decision::Run(Task::Load(_))));
        assert!(matches!(decide(Action::CancelUnload(name("a"))), Decision::CancelRelease(_)));
    }

    #[test]
    fn a_name_that_is_not_allowed_is_refused_also_while_keep_is_set() {
        let settings = settings("[modules]\nallow = [\"b\"]");
        for action in [Action::Load(name("a")), Action::Unload(name("a")), Action::UnloadLater(name("a"))] {
            let decision = decide(Ok(action), 1, &settings, true);
            assert!(matches!(decision, Decision::Refuse(Refusal { errno: libc::EPERM, .. })));
        }
    }

    #[test]
    fn only_a_listed_system_command_is_run() {
        let settings = settings("[[system]]\ntext = \"a b\"\nargv = [\"/bin/x\", \"y\"]");
        let decide = |text: &[u8]| decide(Ok(Action::System(text.to_vec())), 7, &settings, false);
        assert!(matches!(decide(b"a  b"), Decision::RefuseCommand(_)));
        let Decision::Run(task) = decide(b"a b") else { panic!() };
        assert_eq!(task, Task::System("a b".to_owned(), 7));
        let helper = helper_for(&task, &settings, Some(5)).unwrap();
        assert_eq!(helper.to_string(), "/bin/x y");
    }

    #[test]
    fn a_command_that_left_the_configuration_is_not_run() {
        let task = Task::System("a".to_owned(), 1);
        assert_eq!(helper_for(&task, &settings(""), None).unwrap_err().errno, libc::ENOENT);
    }
}
