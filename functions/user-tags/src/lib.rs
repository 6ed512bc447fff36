//! `user-tags`: takes user tags and answers when they are durable.
//!
//! The rule is group commit: a tag joins the batch that is being gathered, and is answered when the log has acknowledged
//! the batch. The log is the single commit point; nothing else is written here, so there is nothing to repair. How tags
//! are decoded is in [`event`], how batches are gathered in [`batching`].

pub mod batching;
pub mod event;

use std::sync::Arc;

use event_log::Append;
use function::{Access, Call, Description, Failure, Function, Reply, Route};
use model::Clock;

pub use batching::Batching;

/// Tells whether the workers are so far behind that what is accepted now would not be visible in time.
pub type Behind = Arc<dyn Fn() -> bool + Send + Sync>;

/// The longest body in bytes: seven names of 64 KiB fit, each with some escapes.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// The function.
pub struct UserTags {
    batches: batching::Sender,
    behind: Behind,
}

impl UserTags {
    /// Appends batches to this log under this source, which must be unique for each start. Also gives the task that
    /// gathers them: it ends when the function is dropped and everything is answered.
    pub fn new<L: Append, C: Clock>(
        log: L,
        clock: C,
        source: &str,
        batching: Batching,
    ) -> (Self, impl Future<Output = ()> + Send + use<L, C>) {
        let (batches, gathering) = batching::start(log, clock, source, batching);
        (Self { batches, behind: Arc::new(|| false) }, gathering)
    }

    /// Answers 503 while this says that the workers are behind.
    #[must_use]
    pub fn unless(mut self, behind: Behind) -> Self {
        self.behind = behind;
        self
    }
}

impl Function for UserTags {
    fn describe(&self) -> Description {
        Description {
            name: "user-tags",
            path: "/user_tags",
            routes: const { &[Route::public("POST", "/user_tags")] },
            events: &[event::EVENT_TYPE],
            events_from: Access::Public,
            body_limit: BODY_LIMIT,
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, Failure> {
        let accepted = event::decode(&call)?;
        if (self.behind)() {
            return Err(Failure::unavailable("the workers are behind"));
        }
        self.batches.commit(accepted).await?;
        Ok(Reply::Done)
    }
}
