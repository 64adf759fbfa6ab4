//! The admin socket: made private, a stale one removed, a live one respected, removed at the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::path::{owner, prepare_folder};
use crate::http::serve::Listening;

/// A socket that only this user (and root) may speak to. Its file goes with it.
pub(crate) struct AdminSocket {
    listener: StdListener,
    place: Place,
    user: u32,
}

/// The socket, listened on by the runtime it was given to.
pub(crate) struct AdminListener {
    listener: UnixListener,
    _place: Place,
    user: u32,
}

struct Place {
    path: PathBuf,
    inode: u64,
}

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
        Ok(Self { listener, place: Place { path: path.to_owned(), inode }, user: owner(path)? })
    }

    /// Listens in the runtime this is called in.
    pub(crate) fn listen(self) -> io::Result<AdminListener> {
        let listener = UnixListener::from_std(self.listener)?;
        Ok(AdminListener { listener, _place: self.place, user: self.user })
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
            let (stream, _) = self.listener.accept().await?;
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
        let still_ours = fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode);
        if still_ours {
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
}
