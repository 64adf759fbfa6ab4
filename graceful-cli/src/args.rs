//! The command line: every flag has a `GRACEFUL_*` variable, and a flag goes before its variable.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand};

/// Runs Lua and Rhai apps that reload without losing a request.
#[derive(Debug, Parser)]
#[command(name = "graceful", version, about, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 host not running, 4 refused by validation (nothing \
touched), 5 reload failed and rolled back, 6 stuck, 7 timeout.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve an app until TERM or INT; HUP reloads it
    Run(Serve),
    /// Serve an app and reload it at every change; errors are shown to clients
    Dev(Serve),
    /// Load an app without serving it and say whether it loads
    Check(Check),
    /// Show what a reload of the running app would do
    Plan(Change),
    /// Reload the running app
    Reload(Reload),
    /// Show the running app
    Status(Ask),
    /// Show the reloads there were and how each ended, over restarts; of an app that does not run, too
    History(History),
    /// Evaluate lines of Lua in the running app; dofile('main.lua') reloads what changed
    Console(Console),
    /// The roles of the running app: list, enable, disable or reload them
    Roles(Roles),
    /// The configuration that the roles of the running app are told
    Config(Config),
    /// Forbid reloading roles until it is allowed again
    Forbid(Ask),
    /// Allow reloading roles again
    Allow(Ask),
    /// Print the running app's metrics in Prometheus' text format
    Metrics(Ask),
}

#[derive(Debug, Args)]
pub struct Voice {
    /// Print JSON, with a schema_version
    #[arg(long, env = "GRACEFUL_JSON", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(long, short, env = "GRACEFUL_QUIET", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// The app's folder, which holds graceful.toml
    #[arg(default_value = ".", env = "GRACEFUL_APP")]
    pub app: PathBuf,
    /// The address to serve HTTP on, instead of the manifest's
    #[arg(long, value_name = "ADDR", env = "GRACEFUL_LISTEN")]
    pub listen: Option<String>,
    /// The admin socket, instead of the app's own
    #[arg(long, value_name = "PATH", env = "GRACEFUL_ADMIN")]
    pub admin: Option<PathBuf>,
    /// The address to serve metrics on, as Prometheus reads them; nowhere unless set
    #[arg(long, value_name = "ADDR", env = "GRACEFUL_METRICS")]
    pub metrics: Option<String>,
    /// What to log, as in `info` or `warn,graceful_host=debug`
    #[arg(long, value_name = "FILTER", env = "GRACEFUL_LOG", default_value = "info,notify=warn")]
    pub log: String,
    #[command(flatten)]
    pub voice: Voice,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The app's folder, which holds graceful.toml
    #[arg(default_value = ".", env = "GRACEFUL_APP")]
    pub app: PathBuf,
    /// Sends recorded states, files module@version.json in this folder, through the migrations and back
    #[arg(long, value_name = "DIR", env = "GRACEFUL_STATES")]
    pub states: Option<PathBuf>,
    #[command(flatten)]
    pub voice: Voice,
}

#[derive(Debug, Args)]
pub struct Ask {
    /// The app's folder, or one inside it
    #[arg(default_value = ".", env = "GRACEFUL_APP")]
    pub app: PathBuf,
    /// The admin socket, instead of the app's own
    #[arg(long, value_name = "PATH", env = "GRACEFUL_ADMIN")]
    pub admin: Option<PathBuf>,
    /// How long to wait for the answer, in seconds; 60 unless set
    #[arg(long, value_name = "SECONDS", env = "GRACEFUL_TIMEOUT", value_parser = seconds)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub voice: Voice,
}

/// As [`Ask`], for commands that have something else than the app to be named first.
#[derive(Debug, Args)]
pub struct Of {
    /// The app's folder, or one inside it
    #[arg(long, short, value_name = "DIR", default_value = ".", env = "GRACEFUL_APP", global = true)]
    pub app: PathBuf,
    /// The admin socket, instead of the app's own
    #[arg(long, value_name = "PATH", env = "GRACEFUL_ADMIN", global = true)]
    pub admin: Option<PathBuf>,
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", env = "GRACEFUL_TIMEOUT", value_parser = seconds, global = true)]
    pub timeout: Option<Duration>,
    /// Print JSON, with a schema_version
    #[arg(long, env = "GRACEFUL_JSON", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue, global = true)]
    pub json: bool,
    /// Print nothing but errors
    #[arg(long, short, env = "GRACEFUL_QUIET", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue, global = true)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Roles {
    #[command(subcommand)]
    pub what: Option<RolesCommand>,
    #[command(flatten)]
    pub of: Of,
}

#[derive(Debug, Subcommand)]
pub enum RolesCommand {
    /// List them, with what they depend on and whether they run; so it is without any of these
    List,
    /// Let these run, and what they depend on
    Enable {
        /// Names of roles
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Stop these, unless a role that runs depends on them
    Disable {
        /// Names of roles
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Reload the code of all roles, changed or not, from a clean slate
    Reload,
}

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub what: ConfigCommand,
    #[command(flatten)]
    pub of: Of,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the configuration that is active
    Show,
    /// Ask the roles whether they would take a configuration
    Check {
        /// A file of TOML or JSON
        file: PathBuf,
    },
    /// Show what is different in a configuration
    Diff {
        /// A file of TOML or JSON
        file: PathBuf,
    },
    /// Apply a configuration if every role takes it; the next start applies it again
    Apply {
        /// A file of TOML or JSON
        file: PathBuf,
        /// Whether this instance is the one that writes; it stays what it is unless this is said
        #[arg(long, env = "GRACEFUL_MASTER", value_name = "BOOL")]
        master: Option<bool>,
    },
    /// Go back to the manifest's configuration and roles, now or, if the app does not run, at its next start
    Reset,
}

#[derive(Debug, Args)]
pub struct Change {
    /// Take every module, changed or not
    #[arg(long, short, env = "GRACEFUL_FORCE", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub force: bool,
    #[command(flatten)]
    pub ask: Ask,
}

#[derive(Debug, Args)]
pub struct Reload {
    #[command(flatten)]
    pub change: Change,
    /// Load the new code beside the live one, check it and drop it: nothing live is touched
    #[arg(long, env = "GRACEFUL_CHECK", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub check: bool,
    /// Go on past a before_reload of the live code that fails
    #[arg(long, env = "GRACEFUL_FORGIVE_BEFORE_RELOAD", value_parser = FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub forgive_before_reload: bool,
}

#[derive(Debug, Args)]
pub struct History {
    /// How many reloads, of the last ones
    #[arg(long, short = 'n', value_name = "COUNT", env = "GRACEFUL_LAST", default_value_t = 20)]
    pub last: usize,
    #[command(flatten)]
    pub ask: Ask,
}

#[derive(Debug, Args)]
pub struct Console {
    /// Evaluate this, and nothing from standard input
    #[arg(long, short, value_name = "LINE", env = "GRACEFUL_EVAL", allow_hyphen_values = true)]
    pub eval: Option<String>,
    /// The language of the lines: lua or rhai; Lua unless the app has none
    #[arg(long, short, value_name = "LANGUAGE", env = "GRACEFUL_LANGUAGE")]
    pub language: Option<String>,
    /// How long a line may take before it is cancelled, in seconds
    #[arg(long, value_name = "SECONDS", env = "GRACEFUL_LIMIT", default_value = "10", value_parser = seconds)]
    pub limit: Duration,
    #[command(flatten)]
    pub ask: Ask,
}

impl Ask {
    /// How long to wait for the answer: what was asked for, or else a minute, or `least` where that is more.
    pub fn patience(&self, least: Duration) -> Duration {
        self.timeout.unwrap_or_else(|| Duration::from_secs(60).max(least))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_its_variable() {
        let cli = Cli::command();
        let mut commands: Vec<&clap::Command> = cli.get_subcommands().collect();
        while let Some(command) = commands.pop() {
            commands.extend(command.get_subcommands());
            let told = |flag: &clap::Arg| flag.is_positional() && flag.is_required_set();
            let flags = command
                .get_arguments()
                .filter(|flag| !["help", "version"].contains(&flag.get_id().as_str()) && !told(flag));
            for flag in flags {
                let variable = format!("GRACEFUL_{}", flag.get_id().as_str().to_uppercase());
                assert_eq!(
                    flag.get_env().and_then(|name| name.to_str()),
                    Some(variable.as_str()),
                    "{flag:?}"
                );
            }
        }
        Cli::command().debug_assert();
    }
}
