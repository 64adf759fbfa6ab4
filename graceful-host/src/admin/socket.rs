//! The admin socket: made private, a stale one removed, a live one respected, removed at the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};

use super::path::{owner, prepare_folder};
use crate::http::serve::Listening;

/// A socket that only this user (and root) may speak to. Its file goes with it.
pub(crate) struct AdminSocket {
    listener: StdListener,
    place: Place,
    user: u32,
}

/// The socket, listened on by the runtime it was given to. If its file is removed (by what tidies up among temporary
/// files, say) another is put in its place.
pub(crate) struct AdminListener {
    now: Mutex<Now>,
    user: u32,
}

struct Now {
    listener: Arc<UnixListener>,
    place: Place,
    /// It was told that nobody can ask at it.
    told: bool,
}

struct Place {
    path: PathBuf,
    /// Whether its folder is this program's to make.
    own: bool,
    inode: u64,
}

/// How often it is looked whether the socket's file is in its place.
const LOOK: Duration = Duration::from_secs(1);

impl AdminSocket {
    /// Listens at `path`; `own` says that its folder is this program's to make.
    pub(crate) fn bind(path: &Path, own: bool) -> io::Result<Self> {
        prepare_folder(path, own)?;
        clear_stale(path)?;
        // Made under another name first, so that it is never seen with the permissions it was born with.
        let unborn = path.with_extension(format!("{}.new", std::process::id()));
        let _ = fs::remove_file(&unborn);
        let listener = StdListener::bind(&unborn)?;
        listener.set_nonblocking(true)?;
        let placed = fs::set_permissions(&unborn, Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&unborn, path));
        if let Err(error) = placed {
            let _ = fs::remove_file(&unborn);
            return Err(error);
        }
        let inode = fs::symlink_metadata(path)?.ino();
        Ok(Self { listener, place: Place { path: path.to_owned(), own, inode }, user: owner(path)? })
    }

    /// Listens in the runtime this is called in.
    pub(crate) fn listen(self) -> io::Result<AdminListener> {
        let user = self.user;
        Ok(AdminListener { now: Mutex::new(Now::of(self)?), user })
    }
}

impl Now {
    fn of(socket: AdminSocket) -> io::Result<Self> {
        let listener = Arc::new(UnixListener::from_std(socket.listener)?);
        Ok(Self { listener, place: socket.place, told: false })
    }

    /// Puts another file in the place of one that was removed.
    fn look(&mut self) {
        if self.place.is_ours() {
            return;
        }
        let (path, own) = (self.place.path.clone(), self.place.own);
        match AdminSocket::bind(&path, own).and_then(Now::of) {
            Ok(now) => {
                tracing::warn!("the admin socket {} was removed, and is there again", path.display());
                *self = now;
            }
            Err(error) if !self.told => {
                tracing::error!(
                    "the admin socket {} was removed and cannot be made again: {error}",
                    path.display()
                );
                self.told = true;
            }
            Err(_) => {}
        }
    }
}

impl Place {
    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode)
    }
}

/// A socket that nobody answers on was left by a process that ended without tidying up.
fn clear_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::other("it is there and is not a socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another host answers on it: is the app running already?",
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

impl Listening for AdminListener {
    type Io = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let listener = self.now.lock().unwrap_or_else(PoisonError::into_inner).listener.clone();
            let accepted = tokio::time::timeout(LOOK, listener.accept()).await;
            let Ok(accepted) = accepted else {
                self.now.lock().unwrap_or_else(PoisonError::into_inner).look();
                continue;
            };
            let (stream, _) = accepted?;
            let peer = stream.peer_cred()?.uid();
            if peer == self.user || peer == 0 {
                return Ok(stream);
            }
            tracing::warn!(user = peer, "another user at the admin socket: turned away");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_removed_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a socket whose process died stays");
        let socket = AdminSocket::bind(&path, false).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = AdminSocket::bind(&path, false).err().expect("the first one is alive");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert!(AdminSocket::bind(&path, false).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    }

    #[tokio::test]
    async fn a_socket_that_is_removed_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own/admin.sock");
        let listener = AdminSocket::bind(&path, true).unwrap().listen().unwrap();
        let serving = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        fs::remove_dir_all(dir.path().join("own")).unwrap();
        let asked = tokio::time::timeout(20 * LOOK, async {
            while UnixStream::connect(&path).await.is_err() {
                tokio::time::sleep(LOOK / 50).await;
            }
        });
        assert!(asked.await.is_ok(), "nobody can ask any more");
        serving.abort();
        assert!(serving.await.is_err() && !path.exists(), "it goes with its listener");
    }
}
