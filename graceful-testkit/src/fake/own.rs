//! What a fake script puts under its module's care.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use graceful_core::{HookError, Resource, ScriptError};

use super::room::Room;
use super::turn::Turns;
use super::vm::number;
use crate::op::Op;

/// Something that is let go of by running `release`.
pub(crate) struct Owned {
    id: u64,
    key: String,
    room: Arc<Room>,
    release: Vec<Op>,
    released: AtomicBool,
}

impl Room {
    pub(crate) fn own(self: &Arc<Self>, key: &str, release: &[Op]) -> Result<(), ScriptError> {
        let (id, key, room, release) = (number(), key.to_owned(), self.clone(), release.to_vec());
        let owned = Owned { id, key, room, release, released: AtomicBool::new(false) };
        let added = self.instance()?.scope.add(Arc::new(owned));
        added.map_err(|replaced| ScriptError::runtime(replaced.to_string()))
    }
}

impl Owned {
    fn let_go(&self) -> BoxFuture<'static, Result<(), HookError>> {
        self.released.store(true, Ordering::Release);
        let (room, release) = (self.room.clone(), self.release.clone());
        let run = async move { Turns::of(&room.vm, room.run(&release)).await };
        run.map(|ran| ran.map(drop).map_err(HookError::from)).boxed()
    }
}

#[async_trait]
impl Resource for Owned {
    fn kind(&self) -> &'static str {
        "own"
    }

    fn key(&self) -> String {
        self.key.clone()
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn activate(&self) {}

    fn is_done(&self) -> bool {
        self.released.load(Ordering::Acquire)
    }

    async fn release(&self) -> Result<(), HookError> {
        self.let_go().await
    }

    fn discard(&self) -> Option<BoxFuture<'static, Result<(), HookError>>> {
        Some(self.let_go())
    }
}
