//! Topics: what scripts publish and event streams read. Owned by the host, so streams outlive reloads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use graceful_core::{CallError, Lease, Native, NativeCx, ScriptError, Value};
use tokio::sync::broadcast;

/// The name of the native module that publishes.
pub const EVENTS: &str = "events";

/// How many messages a reader may lag behind before it loses the oldest.
const BACKLOG: usize = 1024;

/// One published message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Counts the messages of all topics, from 1.
    pub id: u64,
    /// What was published.
    pub value: Arc<Value>,
}

/// Every topic that has been published to or read.
#[derive(Default)]
pub struct Topics {
    next: AtomicU64,
    topics: Mutex<BTreeMap<String, broadcast::Sender<Message>>>,
}

impl Topics {
    /// Sends `value` to whoever reads `topic` now, and says how many that are.
    pub fn publish(&self, topic: &str, value: Value) -> usize {
        // A topic nobody reads is not kept: names may come from requests.
        let mut topics = self.topics.lock().unwrap();
        let Some(sender) = topics.get(topic) else { return 0 };
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let readers = sender.send(Message { id, value: Arc::new(value) }).unwrap_or(0);
        if readers == 0 {
            topics.remove(topic);
        }
        readers
    }

    /// Reads `topic` from now on.
    pub fn subscribe(&self, topic: &str) -> broadcast::Receiver<Message> {
        let mut topics = self.topics.lock().unwrap();
        topics.entry(topic.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0).subscribe()
    }

    /// The native module `events`: `publish(topic, value)`. Inside a reload it publishes at the commit.
    pub(crate) fn module(
        self: &Arc<Self>,
    ) -> impl Fn(&NativeCx) -> Result<Native, ScriptError> + Send + Sync + use<> {
        let topics = self.clone();
        move |_| {
            let topics = topics.clone();
            Ok(Native::plain().function("publish", move |args| publish(&topics, args)))
        }
    }
}

fn publish(topics: &Arc<Topics>, args: Vec<Value>) -> Result<Value, CallError> {
    let mut args = args.into_iter();
    let (topic, value) = match (args.next(), args.next()) {
        (Some(Value::Str(topic)), value) if !topic.is_empty() => (topic, value.unwrap_or_default()),
        (got, _) => {
            let got = got.unwrap_or_default();
            let reason = format!(
                "`publish(topic, value)`: the topic must be a non-empty string, not a {}",
                got.kind()
            );
            return Err(CallError::BadValue { module: EVENTS.to_owned(), reason });
        }
    };
    match Lease::current_intents() {
        Some(intents) => {
            let topics = topics.clone();
            intents.defer(move || {
                topics.publish(&topic, value);
            });
            Ok(Value::Null)
        }
        None => Ok(Value::Int(topics.publish(&topic, value) as i64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_gets_what_is_published_after_it_came_and_a_topic_nobody_reads_is_not_kept() {
        let topics = Arc::new(Topics::default());
        assert_eq!(publish(&topics, vec!["t".into(), 1.into()]).unwrap(), Value::Int(0));
        let mut reader = topics.subscribe("t");
        assert_eq!(publish(&topics, vec!["t".into(), 2.into()]).unwrap(), Value::Int(1));
        assert_eq!(*reader.try_recv().unwrap().value, Value::Int(2));
        drop(reader);
        topics.publish("t", Value::Null);
        assert!(topics.topics.lock().unwrap().is_empty());
        assert!(publish(&topics, vec![Value::Int(1)]).is_err());
    }
}
