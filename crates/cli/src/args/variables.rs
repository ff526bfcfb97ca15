//! An environment variable for every option, after its name: --part-size has S3_CLI_PART_SIZE.
//!
//! A variable is as if its option were given, with three differences. The command line comes first:
//! what contradicts it, or needs an option that is not there, is as if it were not set, so that a
//! variable may be set for all commands to come. One that is empty is not set. And that of an
//! option without a value says yes or no.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory as _, Error, FromArgMatches as _};

use super::Args;

/// What the variables' names begin with.
const PREFIX: &str = "S3_CLI_";

/// The command line of this process, completed by its environment.
///
/// # Errors
///
/// What is wrong with it, or the help that it asks for.
pub(crate) fn parse() -> Result<Args, Error> {
    let arguments: Vec<OsString> = env::args_os().collect();
    let matches = matches(&arguments)?;
    #[cfg_attr(not(all(feature = "fs", feature = "s3")), expect(unused_mut))]
    let mut args = Args::from_arg_matches(&matches)?;
    #[cfg(all(feature = "fs", feature = "s3"))]
    note_typed(&mut args, &matches);
    Ok(args)
}

/// Notes what of S3 alone the command line says: for a disk it is wrong there, and means nothing in
/// the environment, which is for all commands to come.
#[cfg(all(feature = "fs", feature = "s3"))]
fn note_typed(args: &mut Args, matches: &ArgMatches) {
    use clap::parser::ValueSource;

    if let (super::Command::Put(put), Some((_, matches))) =
        (&mut args.command, matches.subcommand())
    {
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let first = |options: &[(&str, &'static str)]| {
            let typed = options.iter().find(|(id, _)| typed(id));
            typed.map(|(_, option)| *option)
        };
        put.resuming.typed = ["resume", "upload_id", "keep_parts"].into_iter().any(typed);
        put.protection.typed = first(&[("sse", "--sse"), ("acl", "--acl")]);
        put.attributes.class_is_typed = typed("storage_class");
    }
}

fn matches(arguments: &[OsString]) -> Result<ArgMatches, Error> {
    let with = |names: &BTreeSet<String>| -> Result<ArgMatches, Error> {
        let command = with_variables(Args::command(), &|name| names.contains(name));
        command.try_get_matches_from(arguments)
    };
    let alone = with(&BTreeSet::new());
    let variables = set_variables(&Args::command())?;
    if variables.is_empty() || !may_be_completed(&alone) {
        return alone;
    }
    let mut taken = BTreeSet::new();
    for name in &variables {
        match with(&BTreeSet::from([name.clone()])) {
            Err(error) if error.kind() == ErrorKind::ArgumentConflict => {}
            Err(error) if is_wrong_value(&error) => return Err(named(error, name)),
            // It may need another that is set, too.
            Ok(_) | Err(_) => drop(taken.insert(name.clone())),
        }
    }
    loop {
        match with(&taken) {
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument && alone.is_ok() => {
                // One of them is what needs an option that is not there.
                let culprit = taken.iter().find(|name| {
                    let mut others = taken.clone();
                    others.remove(*name);
                    with(&others).is_ok()
                });
                let Some(culprit) = culprit.or(taken.first()).cloned() else {
                    return Err(error);
                };
                taken.remove(&culprit);
            }
            other => return other,
        }
    }
}

/// True if options could make a whole of it, where it is none.
fn may_be_completed(alone: &Result<ArgMatches, Error>) -> bool {
    match alone {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::MissingRequiredArgument,
    }
}

fn is_wrong_value(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::InvalidUtf8
    )
}

/// `error` with the variable that it is about.
fn named(mut error: Error, variable: &str) -> Error {
    let option = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(option)) if option.starts_with('-') => {
            format!("{variable} ({option})")
        }
        _ => variable.to_owned(),
    };
    error.insert(ContextKind::InvalidArg, ContextValue::String(option));
    error
}

/// `command`, and all below it, whose options have those variables that are `wanted`.
fn with_variables(command: Command, wanted: &dyn Fn(&str) -> bool) -> Command {
    let command = command.mut_args(|arg| match variable(&arg) {
        Some(name) if wanted(&name) => {
            let arg = match arg.get_action() {
                ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
                _ => arg,
            };
            arg.env(name).hide_env(true)
        }
        _ => arg.env(None::<&'static str>),
    });
    command.mut_subcommands(|command| with_variables(command, wanted))
}

/// The variables of all options that are set, and mean something.
fn set_variables(command: &Command) -> Result<BTreeSet<String>, Error> {
    let mut names = BTreeSet::new();
    for arg in all_args(command) {
        let Some(name) = variable(arg) else { continue };
        let Some(value) = env::var_os(&name).filter(|value| !value.is_empty()) else {
            continue;
        };
        // That an option is not given is no reason to refuse another.
        let says_no = matches!(arg.get_action(), ArgAction::SetTrue) && {
            let says = BoolishValueParser::new().parse_ref(command, None, &value);
            !says.map_err(|error| named(error, &name))?
        };
        if !says_no {
            names.insert(name);
        }
    }
    Ok(names)
}

fn all_args(command: &Command) -> Vec<&Arg> {
    let mut args: Vec<&Arg> = command.get_arguments().collect();
    args.extend(command.get_subcommands().flat_map(all_args));
    args
}

/// The variable of an option: the one that it says itself, or the one after its name.
fn variable(arg: &Arg) -> Option<String> {
    if let Some(own) = arg.get_env() {
        return own.to_str().map(str::to_owned);
    }
    let long = arg.get_long()?;
    Some(format!("{PREFIX}{}", long.to_uppercase().replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_every_command_has_a_variable() {
        let command = with_variables(Args::command(), &|_| true);
        let options = all_args(&command).into_iter();
        let options: Vec<&Arg> = options.filter(|arg| arg.get_long().is_some()).collect();
        assert!(options.len() > 30, "{}", options.len());
        for option in options {
            let name = option.get_env().and_then(|name| name.to_str());
            let name = name.unwrap_or_else(|| panic!("--{} has none", option.get_id()));
            assert!(name.starts_with(PREFIX), "{name}");
        }
    }

    #[test]
    fn a_variable_is_named_after_its_option() {
        let name = |long: &'static str| variable(&Arg::new("id").long(long));
        assert_eq!(name("part-size").as_deref(), Some("S3_CLI_PART_SIZE"));
        assert_eq!(variable(&Arg::new("positional")), None);
        let own = Arg::new("id").long("x").env("S3_CLI_OTHER");
        assert_eq!(variable(&own).as_deref(), Some("S3_CLI_OTHER"));
    }
}
