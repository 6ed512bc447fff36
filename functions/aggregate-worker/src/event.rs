//! What reaches `aggregate-worker`: the events of the log.

use function::{Call, Failure, Refused};
use model::TopicEvent;
use model::batch::BatchError;

/// The event of a call. What can never be taken is refused; what a newer release wrote waits for a newer worker.
pub fn decode(call: &Call) -> Result<TopicEvent, Failure> {
    match call {
        Call::Http(_) => Err(Failure::refused(Refused::Unsupported, None, "takes CloudEvents only")),
        Call::Event(event) => TopicEvent::from_event(event).map_err(|cause| match cause {
            BatchError::Newer(_) => Failure::not_now(&cause),
            BatchError::Damaged(reason) => Failure::refused(Refused::Malformed, None, reason),
        }),
    }
}
