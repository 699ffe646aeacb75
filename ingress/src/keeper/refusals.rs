//! Which refusals are worth a line in the log? Each content once: some control planes send what was refused again at once.

use std::collections::BTreeMap;

use tidegate_xds::resource::{Kind, Update, Verdict};

/// What was refused last, of each kind.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<Kind, Refused>);

#[derive(Debug)]
struct Refused {
    content: u128,
    again: u64,
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    kind: Kind,
    /// Of all resources, in whichever order they came.
    content: u128,
}

/// What there is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// This is not what was refused last.
    Refused,
    /// The same was refused so many times after the first.
    Again(u64),
    /// What was refused so many times after the first is not sent any more.
    Over(u64),
    Nothing,
}

impl Subject {
    pub(super) fn of(update: &Update) -> Self {
        let hashes = update.resources.iter().map(|raw| raw.hash);
        Self {
            kind: update.kind,
            content: hashes.fold(0, u128::wrapping_add),
        }
    }
}

impl Refusals {
    /// Logs what is new about a verdict.
    pub(super) fn log(&mut self, subject: Subject, verdict: &Verdict) {
        let kind = subject.kind;
        match (self.news(subject, verdict), verdict) {
            (News::Refused, Verdict::Rejected(rejection)) => tracing::warn!(
                message = rejection.message,
                whole = rejection.whole,
                "an update is refused"
            ),
            (News::Again(times), _) => tracing::debug!(?kind, times, "the same is refused again"),
            (News::Over(times), _) => {
                tracing::info!(
                    ?kind,
                    times,
                    "an update is taken; the last was sent again and again in vain"
                );
            }
            _ => {}
        }
    }

    fn news(&mut self, Subject { kind, content }: Subject, verdict: &Verdict) -> News {
        match (verdict, self.0.get_mut(&kind)) {
            (Verdict::Rejected(_), Some(last)) if last.content == content => {
                last.again += 1;
                News::Again(last.again)
            }
            (Verdict::Rejected(_), _) => {
                self.0.insert(kind, Refused { content, again: 0 });
                News::Refused
            }
            (Verdict::Accepted, _) => match self.0.remove(&kind) {
                Some(Refused {
                    again: again @ 1.., ..
                }) => News::Over(again),
                _ => News::Nothing,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_xds::resource::Rejection;

    use super::*;

    #[test]
    fn the_same_content_is_news_once_until_something_else_comes() {
        let mut refusals = Refusals::default();
        let refused = Verdict::Rejected(Rejection {
            message: "no".to_owned(),
            failed: Vec::new(),
            whole: true,
        });
        let mut check = |kind, content, verdict: &Verdict, expected| {
            let news = refusals.news(Subject { kind, content }, verdict);
            assert_eq!(news, expected, "{content} of {kind:?}");
        };
        check(Kind::Routes, 1, &refused, News::Refused);
        check(Kind::Routes, 1, &refused, News::Again(1));
        check(Kind::Cluster, 1, &refused, News::Refused);
        check(Kind::Routes, 1, &refused, News::Again(2));
        check(Kind::Routes, 2, &Verdict::Accepted, News::Over(2));
        check(Kind::Routes, 2, &Verdict::Accepted, News::Nothing);
        check(Kind::Routes, 1, &refused, News::Refused);
        check(Kind::Routes, 3, &refused, News::Refused);
        check(Kind::Cluster, 2, &Verdict::Accepted, News::Nothing);
    }
}
