//! Gathers what is asked while a request is under way: it goes together, in the next one.
//!
//! So many askers cost few requests, and each name is asked for once. What was asked after a request had begun is not
//! answered from it, so an absence is one as of the question.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

use model::Collection;
use tokio::sync::watch;

use crate::trouble::Trouble;

/// The most that waits for the next request, three of the largest calls: who asks while so much waits is better off without
/// an answer. One who asks for more at once is let through when nobody else waits.
const MAX_WAITING: usize = 30_000;

/// A kind of question.
pub(crate) trait Question: Send + Sync + 'static {
    /// What is asked for.
    type Asked: Debug + Eq + Hash + Send + Sync + 'static;
    /// What is told of it.
    type Told: Debug + Send + Sync + 'static;

    /// What there is to tell of each of these, which were asked in this order and are there once each.
    fn ask(
        &self,
        collection: &Collection,
        asked: Vec<Self::Asked>,
    ) -> impl Future<Output = Result<HashMap<Self::Asked, Self::Told>, Trouble>> + Send;
}

/// Where questions of one kind are asked.
#[derive(Debug)]
pub(crate) struct Desk<Q: Question> {
    question: Arc<Q>,
    /// The collections that somebody is asking about, and what waits there meanwhile.
    waiting: Mutex<HashMap<Collection, Option<Round<Q>>>>,
}

/// What is told of all that was asked in a round, once it is over.
type Outcome<Q> = Result<Arc<HashMap<<Q as Question>::Asked, <Q as Question>::Told>>, Trouble>;

/// What is asked together.
#[derive(Debug)]
struct Round<Q: Question> {
    /// Each once, with its place: numbers are given in the order of asking.
    asked: HashMap<Q::Asked, usize>,
    outcome: watch::Sender<Option<Outcome<Q>>>,
}

impl<Q: Question> Desk<Q> {
    /// For this kind of question.
    pub(crate) fn new(question: Q) -> Arc<Self> {
        Arc::new(Self { question: Arc::new(question), waiting: Mutex::default() })
    }

    /// What there is to tell of these, and perhaps of others. The question is asked to its end, also if this is dropped.
    pub(crate) async fn ask(self: &Arc<Self>, collection: &Collection, asked: Vec<Q::Asked>) -> Outcome<Q> {
        let mut outcome = self.join(collection, asked)?;
        let over = outcome.wait_for(Option::is_some).await;
        over.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(given_up()))
    }

    fn join(
        self: &Arc<Self>,
        collection: &Collection,
        asked: Vec<Q::Asked>,
    ) -> Result<watch::Receiver<Option<Outcome<Q>>>, Trouble> {
        let mut waiting = self.lock();
        let is_idle = !waiting.contains_key(collection);
        let round = waiting.entry(collection.clone()).or_default().get_or_insert_with(Round::default);
        if !round.asked.is_empty() && round.asked.len() + asked.len() > MAX_WAITING {
            return Err(Trouble::Down("too many names wait for the id-service".to_owned()));
        }
        for asked in asked {
            let place = round.asked.len();
            round.asked.entry(asked).or_insert(place);
        }
        let outcome = round.outcome.subscribe();
        if is_idle {
            tokio::spawn(Arc::clone(self).serve(collection.clone()));
        }
        Ok(outcome)
    }

    /// Round after round, until nobody waits.
    async fn serve(self: Arc<Self>, collection: Collection) {
        while let Some(round) = self.next(&collection) {
            let (question, about) = (Arc::clone(&self.question), collection.clone());
            let asked = in_order(round.asked);
            // On a task of its own, so that a panic is one failed round and not the end of all.
            let asking = tokio::spawn(async move { question.ask(&about, asked).await });
            let told = asking.await.unwrap_or_else(|_| Err(given_up()));
            round.outcome.send_replace(Some(told.map(Arc::new)));
        }
    }

    fn next(&self, collection: &Collection) -> Option<Round<Q>> {
        let mut waiting = self.lock();
        let round = waiting.get_mut(collection).and_then(Option::take);
        if round.is_none() {
            waiting.remove(collection);
        }
        round
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Collection, Option<Round<Q>>>> {
        self.waiting.lock().expect("nothing panics under this lock")
    }
}

impl<Q: Question> Default for Round<Q> {
    fn default() -> Self {
        Self { asked: HashMap::new(), outcome: watch::Sender::new(None) }
    }
}

fn in_order<T>(places: HashMap<T, usize>) -> Vec<T> {
    let mut asked: Vec<_> = places.into_iter().collect();
    asked.sort_unstable_by_key(|(_, place)| *place);
    asked.into_iter().map(|(asked, _)| asked).collect()
}

fn given_up() -> Trouble {
    Trouble::Down("the question was given up".to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// Tells each number its square, when it may.
    struct Squares {
        asked: mpsc::UnboundedSender<Vec<u32>>,
        may: Semaphore,
    }

    impl Question for Squares {
        type Asked = u32;
        type Told = u32;

        async fn ask(&self, _: &Collection, asked: Vec<u32>) -> Result<HashMap<u32, u32>, Trouble> {
            self.asked.send(asked.clone()).unwrap();
            self.may.acquire().await.unwrap().forget();
            assert!(!asked.contains(&13), "a question that panics");
            Ok(asked.into_iter().map(|number| (number, number * number)).collect())
        }
    }

    fn desk() -> (Arc<Desk<Squares>>, mpsc::UnboundedReceiver<Vec<u32>>) {
        let (asked, rounds) = mpsc::unbounded_channel();
        (Desk::new(Squares { asked, may: Semaphore::new(0) }), rounds)
    }

    fn joined(desk: &Arc<Desk<Squares>>, asked: &[u32]) -> watch::Receiver<Option<Outcome<Squares>>> {
        desk.join(&Collection::BRAND, asked.to_vec()).expect("there is room")
    }

    async fn told(mut outcome: watch::Receiver<Option<Outcome<Squares>>>, asked: u32) -> Option<u32> {
        let told = outcome.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        told.unwrap().get(&asked).copied()
    }

    #[tokio::test]
    async fn what_is_asked_meanwhile_goes_together() {
        let (desk, mut rounds) = desk();
        let first = joined(&desk, &[2]);
        assert_eq!(rounds.recv().await, Some(vec![2]));
        let others: Vec<_> = (0..100).map(|n| joined(&desk, &[n % 3 + 3, n % 3 + 2])).collect();
        desk.question.may.add_permits(2);
        assert_eq!(rounds.recv().await, Some(vec![3, 2, 4, 5]), "in the order of asking");
        assert_eq!(told(first, 2).await, Some(4));
        for (n, other) in (0..).zip(others) {
            assert_eq!(told(other, n % 3 + 3).await, Some((n % 3 + 3).pow(2)));
        }
        while !desk.lock().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn collections_do_not_wait_for_each_other() {
        let (desk, mut rounds) = desk();
        let _brand = joined(&desk, &[1]);
        let _origin = desk.join(&Collection::ORIGIN, vec![2]).unwrap();
        let mut both = [rounds.recv().await.unwrap(), rounds.recv().await.unwrap()];
        both.sort();
        assert_eq!(both, [[1], [2]]);
    }

    #[tokio::test]
    async fn an_asker_who_goes_away_is_answered_all_the_same() {
        let (desk, mut rounds) = desk();
        drop(joined(&desk, &[2]));
        assert_eq!(rounds.recv().await, Some(vec![2]));
        let next = joined(&desk, &[3]);
        desk.question.may.add_permits(2);
        assert_eq!(told(next, 3).await, Some(9));
    }

    #[tokio::test]
    async fn a_panic_is_one_failed_round() {
        let (desk, _rounds) = desk();
        desk.question.may.add_permits(2);
        assert_eq!(desk.ask(&Collection::BRAND, vec![13]).await, Err(given_up()));
        assert_eq!(desk.ask(&Collection::BRAND, vec![2]).await.unwrap()[&2], 4);
    }

    #[tokio::test]
    async fn there_is_an_end_to_what_waits() {
        let (desk, mut rounds) = desk();
        let many: Vec<u32> = (0..2 * MAX_WAITING as u32).collect();
        let _first = joined(&desk, &many);
        assert_eq!(rounds.recv().await.unwrap().len(), 2 * MAX_WAITING, "nobody else waited");
        let _next = joined(&desk, &many[..MAX_WAITING]);
        assert!(matches!(desk.join(&Collection::BRAND, vec![1]), Err(Trouble::Down(_))));
        assert!(desk.join(&Collection::ORIGIN, vec![1]).is_ok());
    }
}
