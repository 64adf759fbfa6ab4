//! What the admin socket is asked about roles and their configuration.

use graceful_core::Config;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

use super::{Admin, bad, said};
use crate::http::answer::{Body, failure, json_answer};
use crate::options::Cause;
use crate::wire::{ConfigRequest, NamesRequest, ReloadReply};

/// Everything below is asked at one of these.
pub(super) const PATHS: [&str; 11] = [
    "/roles",
    "/roles/enable",
    "/roles/disable",
    "/roles/reload",
    "/roles/forbid",
    "/roles/allow",
    "/config",
    "/config/check",
    "/config/diff",
    "/config/apply",
    "/config/reset",
];

impl Admin {
    pub(super) async fn about_roles(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Box<Response<Body>>> {
        let (path, host) = (request.uri().path().to_owned(), &self.host);
        let reads = ["/roles", "/config"].contains(&path.as_str());
        if request.method() != (if reads { Method::GET } else { Method::POST }) {
            return Err(Box::new(failure(StatusCode::METHOD_NOT_ALLOWED, "GR0405", "method not allowed")));
        }
        Ok(match path.as_str() {
            "/roles" => json_answer(StatusCode::OK, &host.roles()),
            "/roles/enable" | "/roles/disable" => {
                let asked: NamesRequest = said(request).await?;
                json_answer(StatusCode::OK, &host.enable_roles(asked.names, path == "/roles/enable").await)
            }
            "/roles/reload" => {
                let reply = ReloadReply::new(host.reload_roles(Cause::Admin).await);
                json_answer(StatusCode::OK, &reply)
            }
            "/roles/forbid" | "/roles/allow" => {
                json_answer(StatusCode::OK, &host.forbid_reload(path == "/roles/forbid"))
            }
            "/config" => json_answer(StatusCode::OK, &host.config()),
            "/config/reset" => json_answer(StatusCode::OK, &host.reset_config().await),
            path => {
                let asked: ConfigRequest = said(request).await?;
                let config = Config::new(asked.config);
                let config = config.map_err(|error| bad(&error.code().to_string(), &error.to_string()))?;
                match path {
                    "/config/diff" => json_answer(StatusCode::OK, &host.diff_config(&config)),
                    "/config/check" => json_answer(StatusCode::OK, &host.check_config(config).await),
                    _ => json_answer(StatusCode::OK, &host.apply_config(config, asked.master).await),
                }
            }
        })
    }
}
