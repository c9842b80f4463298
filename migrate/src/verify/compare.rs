//! Each name of the old configuration, then and now.

use rayon::prelude::*;

use super::expected::{Expected, Load, expected};
use super::judge::{Judge, shown};
use super::layout::lay_out;
use super::modprobe::Modprobe;
use super::verdict::{Report, Row, Verdict};
use crate::error::{Error, Result};
use crate::module_index::Kernel;
use crate::new::modprobe_d::MODULES_LOAD;
use crate::old::modules_conf::End;
use crate::plan::{Plan, Target};

/// Compares.
///
/// # Errors
/// When the plan is not for kmod, there is no kernel to ask about, or modprobe cannot be run.
pub fn verify(plan: &Plan) -> Result<Report> {
    if plan.target != Target::Kmod {
        return Err(Error::usage("verify asks kmod's modprobe: use it with --target kmod"));
    }
    let Some(kernel) = &plan.kernel else {
        return Err(Error::usage(
            "verify needs a kernel's module index: name it with --kernel-root DIR (and --kernel RELEASE)",
        ));
    };
    let directory = tempfile::tempdir().map_err(|why| Error::write("a temporary folder", why))?;
    lay_out(plan, directory.path())?;
    let modprobe = Modprobe { kernel, configuration: directory.path() };
    let judge = Judge::new(&modprobe, &plan.site)?;
    let complaints = judge.complaints.clone();
    let rows: Result<Vec<Vec<Row>>> =
        plan.meaning.names.par_iter().map(|name| compare(plan, kernel, &judge, name)).collect();
    let mut rows: Vec<Row> = rows?.into_iter().flatten().collect();
    rows.extend(boot_rows(plan, &modprobe)?);
    Ok(Report { rows, complaints })
}

fn compare(plan: &Plan, kernel: &Kernel, judge: &Judge, name: &str) -> Result<Vec<Row>> {
    let resolved = plan.meaning.resolve(name);
    let old = match &resolved.end {
        End::Module(module) => module.clone(),
        End::Off => "off".to_owned(),
        End::List(_, list) => list.clone(),
        End::Loop => "(a loop)".to_owned(),
    };
    let expected = expected(plan, kernel, name);
    let forms = match &expected {
        Expected::Module(Load { today, .. }) if resolved.chain.is_empty() => own_forms(plan, name, today),
        _ => plan.meaning.forms(name),
    };
    let row = |form: String| {
        let request = as_asked(plan, judge, name, form)?;
        let (verdict, now, why) = judge.judge(&expected, &request)?;
        Ok(Row { name: name.to_owned(), then: expected.then(&old), request, now, verdict, why })
    };
    forms.into_iter().map(row).collect()
}

/// A form as a kernel asks for it: a pattern with a number that has no name of its own, and without a number where
/// nothing answers that.
fn as_asked(plan: &Plan, judge: &Judge, name: &str, form: String) -> Result<String> {
    let Some(stem) = form.strip_suffix("-*") else { return Ok(form) };
    let is_free = |request: &String| {
        !plan.meaning.names.contains(request)
            && plan.kernel.iter().all(|kernel| kernel.aliases().of_pattern(request).is_empty())
    };
    let numbered = (0..).map(|minor| format!("{stem}-{minor}")).find(is_free).unwrap_or_default();
    Ok(if judge.answers(&numbered)? { numbered } else { name.to_owned() })
}

/// The names by which a module itself is asked for: its own of today, and its old one where the new files have it.
fn own_forms(plan: &Plan, name: &str, today: &str) -> Vec<String> {
    let alias = format!("alias {name} ");
    let mut lines = plan.files.iter().flat_map(|file| &file.lines);
    let has_alias = lines.any(|line| line.text.starts_with(&alias));
    [today].into_iter().chain(has_alias.then_some(name)).map(str::to_owned).collect()
}

/// Names in modules-load.d must be loadable.
fn boot_rows(plan: &Plan, modprobe: &Modprobe) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let file = plan.files.iter().find(|file| file.path == MODULES_LOAD);
    for line in file.iter().flat_map(|file| &file.lines).filter(|line| !line.text.starts_with('#')) {
        let steps = modprobe.steps(&line.text)?;
        let verdict = if steps.is_empty() { Verdict::Different } else { Verdict::Same };
        let why = if steps.is_empty() { "cannot be loaded".to_owned() } else { String::new() };
        rows.push(Row {
            name: line.text.clone(),
            then: "loaded at boot".to_owned(),
            request: line.text.clone(),
            now: shown(&steps),
            verdict,
            why,
        });
    }
    Ok(rows)
}
