//! How often is an endpoint dialled whose machine does not answer?

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// Dials again when there is no answer for a while, instead of waiting for one: a first packet that was dropped, because the
/// endpoint's queue was full, is sent again sooner than the kernel would. An answer is an answer: a refusal is not tried again.
///
/// ```
/// use std::time::Duration;
/// use tidegate_proxy::cluster::transport::{Redial, TransportSettings};
///
/// let redial = Redial { first: Duration::from_millis(50), growth_percent: 140, tries: 16, pause: Duration::from_millis(30) };
/// let settings = TransportSettings { redial: Some(redial), ..TransportSettings::default() };
/// assert_ne!(settings, TransportSettings::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Redial {
    /// How long the first try waits for an answer, and the second.
    pub first: Duration,
    /// How long each further try waits, in percent of the one before; up to a tenth more comes by chance.
    pub growth_percent: u32,
    /// How many tries there are.
    pub tries: u32,
    /// The pause between two tries; by chance up to twice as long.
    pub pause: Duration,
}

impl Redial {
    /// Dials until there is an answer.
    pub(crate) async fn run<T, F>(&self, mut dial: impl FnMut() -> F) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let began = Instant::now();
        let mut limit = self.first;
        for number in 0..self.tries {
            if number > 0 {
                sleep(self.pause.mul_f64(1.0 + fastrand::f64())).await;
            }
            if number > 1 {
                limit = limit * self.growth_percent / 100;
            }
            let waited = limit.mul_f64(1.0 + 0.1 * fastrand::f64());
            if let Ok(answered) = timeout(waited, dial()).await {
                return answered;
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        let text = format!("no answer after {seconds:.2}s");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const REDIAL: Redial = Redial {
        first: Duration::from_millis(50),
        growth_percent: 140,
        tries: 5,
        pause: Duration::from_millis(30),
    };

    /// When each try began, in milliseconds, and what became of them all, if try `answers` has this answer.
    async fn run(answers: usize, answer: io::Result<()>) -> (Vec<u128>, io::Result<()>) {
        let (began, answer) = (Instant::now(), RefCell::new(Some(answer)));
        let tries = RefCell::new(Vec::new());
        let result = REDIAL.run(|| async {
            tries.borrow_mut().push(began.elapsed().as_millis());
            let taken = if tries.borrow().len() == answers {
                answer.take()
            } else {
                None
            };
            match taken {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        });
        let result = result.await;
        (tries.into_inner(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn tries_wait_longer_and_longer_and_end() {
        let (tries, result) = run(usize::MAX, Ok(())).await;
        let error = result.unwrap_err();
        assert_eq!((tries.len(), error.kind()), (5, io::ErrorKind::TimedOut));
        let waits = tries.windows(2).map(|pair| pair[1] - pair[0]);
        // The limits 50, 50, 70 and 98, each with a tenth and a pause of 30 to 60.
        let ranges = [80..=116, 80..=116, 100..=138, 128..=169];
        for (wait, range) in waits.zip(ranges) {
            assert!(range.contains(&wait), "{tries:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_the_last_word_whatever_it_is() {
        let (tries, result) = run(3, Ok(())).await;
        assert!(result.is_ok() && tries.len() == 3);
        let (tries, result) = run(1, Err(io::ErrorKind::ConnectionRefused.into())).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tries.len(), 1);
    }
}
