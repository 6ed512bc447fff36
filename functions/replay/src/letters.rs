//! Dead letters go back to the topic that they came from, once what refused them was mended.

use std::collections::BTreeMap;

use cloudevents::AttributesReader;
use dead_letters::letter::{refused_by, without_notes};
use event_log::{Append, Error, EventLog, Position, Recorded, Span};

/// Which letters; all conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those refused by a worker whose name or address contains this.
    pub refused_by: Option<String>,
    /// Those of this event type.
    pub ty: Option<String>,
    /// Those of this source.
    pub source: Option<String>,
    /// Those with this id.
    pub id: Option<String>,
    /// Those put aside then or later, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Those put aside before.
    pub until: Option<u64>,
    /// So many of them at most, the oldest first in each partition.
    pub limit: Option<u64>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Letters in the topic.
    letters: u64,
    /// Those that went back, by who had refused them.
    sent: BTreeMap<String, u64>,
}

/// Appends the letters that the filter lets through, as they were before they were refused. Stops at the first that the
/// log does not take: what went before it is there, and may be sent again.
pub async fn send_back<L: EventLog, A: Append>(
    letters: &[L],
    to: &A,
    filter: &Filter,
    dry_run: bool,
) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    for log in letters {
        let mut span = Span::to_now(log, Position::default()).await?;
        while let Some(recorded) = span.next().await? {
            for letter in recorded {
                counts.letters += 1;
                if !filter.passes(&letter) || filter.limit.is_some_and(|limit| counts.sent() >= limit) {
                    continue;
                }
                *counts.sent.entry(refused_by(&letter.event)).or_default() += 1;
                if !dry_run {
                    to.append(without_notes(letter.event)).await?;
                }
            }
        }
    }
    Ok(counts)
}

impl Filter {
    fn passes(&self, letter: &Recorded) -> bool {
        let event = &letter.event;
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        is(&self.ty, event.ty())
            && is(&self.source, event.source())
            && is(&self.id, event.id())
            && self.refused_by.as_ref().is_none_or(|text| refused_by(event).contains(text.as_str()))
            && self.since.is_none_or(|since| letter.appended_ms >= since)
            && self.until.is_none_or(|until| letter.appended_ms < until)
    }
}

impl Counts {
    fn sent(&self) -> u64 {
        self.sent.values().sum()
    }

    /// In words for a person.
    pub fn told(&self, dry_run: bool) -> String {
        let what = if dry_run { "would go back" } else { "went back" };
        let mut told = format!("{} of {} dead letters {what}", self.sent(), self.letters);
        for (refused_by, count) in &self.sent {
            told += &format!("\n  {count} refused by {refused_by}");
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use cloudevents::event::ExtensionValue;
    use cloudevents::{Event, EventBuilder, EventBuilderV10};
    use event_log_embedded::EmbeddedLog;
    use tempfile::TempDir;

    use super::*;

    struct World {
        letters: EmbeddedLog,
        topic: EmbeddedLog,
        _directory: TempDir,
    }

    /// Letters 0 and 1 refused by one worker, 2 by another.
    async fn world() -> World {
        let directory = tempfile::tempdir().unwrap();
        let open =
            |name| EmbeddedLog::open(directory.path().join(name), Default::default()).expect("the log opens");
        let (letters, topic) = (open("letters"), open("topic"));
        for (id, refused_by) in [("0", "profile-worker"), ("1", "profile-worker"), ("2", "aggregate-worker")]
        {
            let mut letter = event(id);
            letter.set_extension("knativeerrordest", ExtensionValue::String(refused_by.into()));
            letter.set_extension("knativeerrordata", ExtensionValue::String("why".into()));
            letter.set_extension("knativekafkaoffset", ExtensionValue::Integer(7));
            letter.set_extension("reason", ExtensionValue::String("why".into()));
            letters.append(letter).await.unwrap();
        }
        World { letters, topic, _directory: directory }
    }

    fn event(id: &str) -> Event {
        let event = EventBuilderV10::new().id(id).source("/x").ty("t").extension("traceparent", "00-1");
        event.data("application/json", b"{ \"as\" : 1 }".to_vec()).build().unwrap()
    }

    async fn check(filter: Filter, dry_run: bool, expected: &[&str]) {
        let World { letters, topic, _directory } = world().await;
        let counts = send_back(&[letters], &topic, &filter, dry_run).await.unwrap();
        assert_eq!((counts.letters, counts.sent()), (3, expected.len() as u64), "{filter:?}");
        let read = topic.read(Position::default(), 1 << 20, std::time::Duration::ZERO).await.unwrap();
        let there: Vec<Event> = read.into_iter().map(|recorded| recorded.event).collect();
        let expected = if dry_run { &[] } else { expected };
        assert_eq!(there, expected.iter().map(|id| event(id)).collect::<Vec<_>>(), "{filter:?}");
    }

    fn only(change: impl FnOnce(&mut Filter)) -> Filter {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    }

    #[tokio::test]
    async fn go_back_as_they_were() {
        check(Filter::default(), false, &["0", "1", "2"]).await;
    }

    #[tokio::test]
    async fn a_dry_run_only_counts() {
        check(Filter::default(), true, &["0", "1", "2"]).await;
    }

    #[tokio::test]
    async fn all_conditions_must_hold() {
        check(only(|filter| filter.refused_by = Some("aggregate".into())), false, &["2"]).await;
        check(only(|filter| filter.id = Some("1".into())), false, &["1"]).await;
        check(only(|filter| filter.ty = Some("t".into())), false, &["0", "1", "2"]).await;
        check(only(|filter| filter.source = Some("/y".into())), false, &[]).await;
        check(only(|filter| filter.since = Some(u64::MAX)), false, &[]).await;
        check(only(|filter| filter.until = Some(1)), false, &[]).await;
        check(only(|filter| filter.limit = Some(2)), false, &["0", "1"]).await;
        let both = only(|filter| {
            filter.id = Some("1".into());
            filter.refused_by = Some("aggregate".into());
        });
        check(both, false, &[]).await;
    }
}
