//! Where an app's admin socket is: one path for each app folder, which only its user can reach.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use graceful_core::source::Hash;

use crate::app::MANIFEST;

/// The admin socket of the app in `folder`: in the user's runtime folder (`XDG_RUNTIME_DIR`), or in one of the user's
/// own among the temporary files, under a name that comes from the app folder's own path.
pub fn admin_path(folder: &Path) -> PathBuf {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let name = Hash::of(folder.as_os_str().as_encoded_bytes());
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| Path::new(dir).is_dir()) {
        Some(dir) => Path::new(&dir).join("graceful").join(format!("{name}.sock")),
        None => std::env::temp_dir().join(format!("graceful-{}", user())).join(format!("{name}.sock")),
    }
}

/// Who runs this, so that two users do not want the same folder. Where the system does not say, the home folder does.
fn user() -> String {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mine = [Some(PathBuf::from("/proc/self")), home].into_iter().flatten();
    let owner = mine.into_iter().find_map(|mine| owner(&mine).ok());
    owner.map(|owner| owner.to_string()).or_else(|| std::env::var("USER").ok()).unwrap_or_default()
}

/// The app that `folder` belongs to: itself, or the nearest folder above it that has a manifest.
pub fn app_folder(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let whole: PathBuf = whole.components().collect();
    let found = whole.ancestors().find(|above| above.join(MANIFEST).is_file());
    found.map_or_else(|| folder.to_path_buf(), Path::to_path_buf)
}

/// Makes sure that the socket's folder is there, and, where this program makes it, that it is private.
pub(super) fn prepare_folder(socket: &Path, own: bool) -> io::Result<()> {
    let Some(folder) = socket.parent().filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if !own {
        return Ok(());
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let there = fs::symlink_metadata(folder)?;
    if !there.is_dir() || there.permissions().mode() & 0o077 != 0 {
        let reason = format!(
            "{} is there and is not a private folder: remove it, or name a socket with `--admin`",
            folder.display()
        );
        return Err(io::Error::other(reason));
    }
    Ok(())
}

/// Who owns the file at `path`: what a peer's user is compared with.
pub(super) fn owner(path: &Path) -> io::Result<u32> {
    Ok(fs::symlink_metadata(path)?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_apps_own_from_wherever_it_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let app = dir.path().join("app");
        fs::create_dir_all(app.join("lib/deep")).unwrap();
        fs::write(app.join(MANIFEST), "").unwrap();
        assert_eq!(app_folder(&app.join("lib/deep")), app);
        assert_eq!(admin_path(&app), admin_path(&app.join("lib/..")));
        assert_ne!(admin_path(&app), admin_path(dir.path()));
        assert!(admin_path(&app).as_os_str().len() < 100, "a unix socket's path may have 107 bytes");
    }

    #[test]
    fn without_a_runtime_folder_each_user_has_one_among_the_temporary_files() {
        let user = user();
        assert!(!user.is_empty() && user.parse::<u32>().is_ok(), "{user}");
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(owner(dir.path()).unwrap().to_string(), user);
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("own/admin.sock");
        prepare_folder(&socket, true).unwrap();
        prepare_folder(&socket, true).unwrap();
        fs::set_permissions(dir.path().join("own"), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(prepare_folder(&socket, true).is_err());
    }
}
