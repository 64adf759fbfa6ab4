//! The app of this folder with a sixth role, written in Rust: `cargo run -p graceful-host --example roles`.

mod audit;

use std::sync::atomic::Ordering;

use audit::Audit;
use graceful_host::{Cause, Host, HostOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let audit = Audit::default();
    let told = audit.clone();
    let mut options = HostOptions::default().role("audit", move || told.clone());
    options.listen = Some("127.0.0.1:0".into());
    options.no_admin = true;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/roles");
    let running = Host::open(folder, options)?.start().await?;
    let host = running.host();
    println!("{} run: {}", host.app().name, host.engine().roles().running().join(", "));
    let reload = host.reload_roles(Cause::Embedder).await.map_err(|failure| failure.message)?;
    println!("generation {} after a reload of all roles", reload.generation);
    let price = host.engine().call("pricing", "price", vec!["tea".into()]).await?;
    println!("tea costs {price}, audit was started {} times", audit.runs.load(Ordering::Relaxed));
    assert!(running.stop().await);
    Ok(())
}
