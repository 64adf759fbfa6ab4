//! `roles`, `config`, `forbid` and `allow`: asks the running host about its roles.

use std::path::Path;
use std::time::Duration;

use graceful_host::wire::{ApplyReply, ConfigRequest, Failure, NamesRequest};
use graceful_host::{AdminError, ManifestError, forget_applied, read_document};
use serde_json::json;

use crate::args::{Ask, Config, ConfigCommand, Of, Roles, RolesCommand};
use crate::ask::{Asked, reloaded};
use crate::exit::Exit;
use crate::show::roles as show;
use crate::voice::{Voice, complain};

impl From<&Of> for Asked {
    fn from(of: &Of) -> Self {
        let timeout = of.timeout.unwrap_or(Duration::from_secs(60));
        Self::new(&of.app, of.admin.as_deref(), timeout, Voice { json: of.json, quiet: of.quiet })
    }
}

pub async fn roles(asked: &Roles) -> Exit {
    let (what, asked) = (&asked.what, Asked::from(&asked.of));
    match what {
        None | Some(RolesCommand::List) => match asked.client.roles().await {
            Ok(reply) => {
                asked.voice.answer(&reply, || show::roles(&reply.roles));
                Exit::Ok
            }
            Err(error) => asked.unanswered(&error),
        },
        Some(RolesCommand::Enable { names }) => enable(&asked, names, true).await,
        Some(RolesCommand::Disable { names }) => enable(&asked, names, false).await,
        Some(RolesCommand::Reload) => match asked.client.reload_roles().await {
            Ok(reply) => reloaded(&asked, &reply),
            Err(error) => asked.unanswered(&error),
        },
    }
}

async fn enable(asked: &Asked, names: &[String], on: bool) -> Exit {
    let request = NamesRequest { names: names.to_vec() };
    let reply = asked.client.enable_roles(&request, on).await;
    applied(asked, reply, "applied")
}

pub async fn config(asked: &Config) -> Exit {
    let (what, asked) = (&asked.what, Asked::from(&asked.of));
    match what {
        ConfigCommand::Show => show_config(&asked).await,
        ConfigCommand::Reset => reset(&asked).await,
        ConfigCommand::Check { file } => match document(&asked, file, None) {
            Ok(request) => applied(&asked, asked.client.check_config(&request).await, "every role takes it"),
            Err(exit) => exit,
        },
        ConfigCommand::Apply { file, master } => match document(&asked, file, *master) {
            Ok(request) => applied(&asked, asked.client.apply_config(&request).await, "applied"),
            Err(exit) => exit,
        },
        ConfigCommand::Diff { file } => match document(&asked, file, None) {
            Ok(request) => diff(&asked, &request).await,
            Err(exit) => exit,
        },
    }
}

pub async fn forbid(ask: &Ask, forbid: bool) -> Exit {
    let asked = Asked::from(ask);
    match asked.client.forbid_reload(forbid).await {
        Ok(reply) => {
            asked.voice.answer(&reply, || match (forbid, reply.roles.reload_forbidden) {
                (true, _) => "reloading roles is forbidden".to_owned(),
                (false, false) => "reloading roles is allowed".to_owned(),
                (false, true) => {
                    "reloading roles stays forbidden: `roles.reload_allowed` in the manifest is not true"
                        .to_owned()
                }
            });
            Exit::Ok
        }
        Err(error) => asked.unanswered(&error),
    }
}

async fn show_config(asked: &Asked) -> Exit {
    match asked.client.config().await {
        Ok(reply) => {
            asked.voice.answer(&reply, || show::config(&reply));
            reply.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
            Exit::Ok
        }
        Err(error) => asked.unanswered(&error),
    }
}

async fn diff(asked: &Asked, request: &ConfigRequest) -> Exit {
    match asked.client.diff_config(request).await {
        Ok(reply) => {
            asked.voice.answer(&reply, || show::diff(&reply));
            Exit::Ok
        }
        Err(error) => asked.unanswered(&error),
    }
}

/// An app that does not run may not start with what was applied to it.
async fn reset(asked: &Asked) -> Exit {
    match asked.client.reset_config().await {
        Err(AdminError::NotRunning { .. }) => match forget_applied(&asked.folder) {
            Ok(aside) => {
                let aside = aside.map(|path| path.display().to_string());
                let told = json!({ "schema_version": 1, "ok": true, "running": false, "set_aside": aside });
                asked.voice.answer(&told, || match &aside {
                    Some(path) => {
                        format!("the next start takes the manifest's; what was applied is now {path}")
                    }
                    None => "nothing was applied: the next start takes the manifest's".to_owned(),
                });
                Exit::Ok
            }
            Err(error) => {
                let told = json!({ "schema_version": 1, "ok": false, "error": error.to_string() });
                if asked.voice.json {
                    asked.voice.answer(&told, String::new)
                } else {
                    complain(&format!("error: {error}"))
                }
                Exit::from(&error)
            }
        },
        reply => applied(asked, reply, "the manifest's configuration is applied"),
    }
}

fn applied(asked: &Asked, reply: Result<ApplyReply, AdminError>, well: &str) -> Exit {
    let reply = match reply {
        Ok(reply) => reply,
        Err(error) => return asked.unanswered(&error),
    };
    if asked.voice.json || reply.failure.is_none() || !reply.roles.is_empty() {
        asked.voice.answer(&reply, || show::applied(&reply, well));
    }
    match &reply.failure {
        None => Exit::Ok,
        Some(failure) => {
            asked.voice.failure(failure, Some(&asked.folder));
            Exit::from(failure)
        }
    }
}

/// The configuration in a file. One that cannot be read is refused here.
fn document(asked: &Asked, file: &Path, master: Option<bool>) -> Result<ConfigRequest, Exit> {
    let refused = |error: ManifestError| {
        let failure = Failure::file(&error);
        let told = json!({ "schema_version": 1, "ok": false, "failure": failure });
        if asked.voice.json {
            asked.voice.answer(&told, String::new);
        }
        asked.voice.failure(&failure, None);
        Exit::Refused
    };
    let config = read_document(file).map_err(refused)?;
    Ok(ConfigRequest { config: config.document().clone(), master })
}
