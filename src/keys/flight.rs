//! Single flight: of many calls that want the same cold key at once, one loads it and all take its
//! answer. The load is a task of its own, so that a caller who gives up takes nobody along.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Loads under way, by what they load.
pub(in crate::keys) struct Flights<I, T> {
    under_way: Arc<UnderWay<I, T>>,
}

type UnderWay<I, T> = Mutex<HashMap<I, watch::Receiver<Option<T>>>>;

impl<I, T> Flights<I, T>
where
    I: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    pub(in crate::keys) fn new() -> Self {
        Self {
            under_way: Arc::default(),
        }
    }

    /// Joins the load of `id`, beginning it with `load` if there is none; none if the load died.
    pub(in crate::keys) async fn join<F>(&self, id: I, load: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut answer = {
            let mut under_way = self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match under_way.get(&id) {
                Some(answer) => answer.clone(),
                None => {
                    let (send, answer) = watch::channel(None);
                    under_way.insert(id.clone(), answer.clone());
                    let landing = Landing {
                        id,
                        under_way: Arc::clone(&self.under_way),
                    };
                    let load = load();
                    tokio::spawn(async move {
                        let loaded = load.await;
                        drop(landing);
                        send.send_replace(Some(loaded));
                    });
                    answer
                }
            }
        };
        let answer = answer.wait_for(Option::is_some).await.ok()?;
        answer.clone()
    }
}

/// Forgets a load when it ends, also when it panics.
struct Landing<I: Eq + Hash, T> {
    id: I,
    under_way: Arc<UnderWay<I, T>>,
}

impl<I: Eq + Hash, T> Drop for Landing<I, T> {
    fn drop(&mut self) {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_hundred_calls_for_one_key_load_it_once() {
        let flights = Arc::new(Flights::<&str, u32>::new());
        let loads = Arc::new(AtomicU32::new(0));
        let calls: Vec<_> = (0..100)
            .map(|_| {
                let (flights, loads) = (Arc::clone(&flights), Arc::clone(&loads));
                tokio::spawn(async move {
                    flights
                        .join("a", || async move {
                            loads.fetch_add(1, Ordering::SeqCst);
                            tokio::time::sleep(Duration::from_millis(50)).await;
                            7
                        })
                        .await
                })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap(), Some(7));
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert!(flights.under_way.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_first_caller_may_give_up_without_the_second_losing_its_answer() {
        let flights = Flights::<&str, u32>::new();
        let load = || async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            7
        };
        let first = tokio::time::timeout(Duration::from_millis(10), flights.join("a", load)).await;
        assert!(first.is_err());
        assert_eq!(flights.join("a", || async { 8 }).await, Some(7));
    }

    #[tokio::test]
    async fn a_load_that_panics_answers_nothing_and_is_begun_anew() {
        let flights = Flights::<&str, u32>::new();
        assert_eq!(
            flights
                .join("a", || async { panic!("shown in the log") })
                .await,
            None
        );
        assert_eq!(flights.join("a", || async { 8 }).await, Some(8));
    }
}
