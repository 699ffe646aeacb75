//! One kind of resources in a session: what is wanted, asked for, held, and still to be judged and answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{Batch, Nonce, Settled};
use super::lifetimes::Lifetimes;
use super::pace::Refusals;
use super::parse::Content;
use super::{Token, Variant};
use crate::limits;
use crate::resource::{Kind, Update, Verdict};

/// The state of one kind.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) kind: Kind,
    pub(super) variant: Variant,
    /// The names; empty for all of a wildcard kind, none when nobody wants the kind.
    pub(super) wanted: Option<BTreeSet<Arc<str>>>,
    /// The version that was last accepted. It belongs to the resources and outlives streams.
    pub(super) version: Arc<str>,
    /// The versions of resources that were accepted, by name.
    pub(super) known: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) stream: OnStream,
    /// What came and waits for its turn.
    waiting: VecDeque<Batch>,
    in_hand: Option<(Token, Batch)>,
    /// What was put aside without a verdict; it goes along with the next response.
    held: Option<Batch>,
    pub(super) answers: VecDeque<Answer>,
    pub(super) refusals: Refusals,
    /// What ends unless it is renewed.
    lifetimes: Lifetimes,
    /// By when the first resources should be there.
    fetch_by: Option<Instant>,
    fetched: bool,
}

/// What is true of one stream only.
#[derive(Clone, Debug, Default)]
pub(super) struct OnStream {
    pub(super) number: u64,
    /// Whether anything was asked on it.
    pub(super) begun: bool,
    /// The nonce of the newest response.
    pub(super) nonce: String,
    /// The names that were last asked for.
    pub(super) asked: BTreeSet<Arc<str>>,
    /// Whether any name was ever asked for: an empty list is no wildcard any more then.
    pub(super) named: bool,
    /// Whether the names have changed since.
    pub(super) changed: bool,
    /// The names that came (state of the world).
    pub(super) came: BTreeSet<Arc<str>>,
}

/// An answer that is owed.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) nonce: String,
    pub(super) refused: Option<Refusal>,
}

/// A NACK.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) message: String,
    /// Which content it refuses.
    pub(super) hash: u128,
}

impl Refusal {
    /// A NACK whose text ends, as Envoy's does.
    fn new(message: &str, hash: u128) -> Self {
        let mut message = message.to_owned();
        if message.len() > limits::NACK_BYTES_MAX {
            message.truncate(message.floor_char_boundary(limits::NACK_BYTES_MAX));
            message.push_str("...(truncated)");
        }
        Self { message, hash }
    }
}

/// When there is something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Never,
    At(Instant),
}

/// What became of a response at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Waits,
    Refused,
    Unchanged,
    Ignored,
}

impl Subscription {
    pub(super) fn new(kind: Kind, variant: Variant) -> Self {
        Self {
            kind,
            variant,
            wanted: None,
            version: "".into(),
            known: BTreeMap::new(),
            stream: OnStream::default(),
            waiting: VecDeque::new(),
            in_hand: None,
            held: None,
            answers: VecDeque::new(),
            refusals: Refusals::default(),
            lifetimes: Lifetimes::default(),
            fetch_by: None,
            fetched: false,
        }
    }

    /// Changes what is wanted.
    pub(super) fn want(
        &mut self,
        names: Option<&BTreeSet<Arc<str>>>,
        timeout: Option<Duration>,
        now: Instant,
    ) {
        if self.wanted.as_ref() == names {
            return;
        }
        self.wanted = names.cloned();
        if self.is_wanted() && !self.fetched && self.fetch_by.is_none() {
            self.fetch_by = timeout.map(|timeout| now + timeout);
        }
        self.forget_unwanted();
        self.forget_ended();
        self.stream.changed = self.stream.begun && self.names() != self.stream.asked;
    }

    /// Whether there is anything to ask for.
    pub(super) fn is_wanted(&self) -> bool {
        let wanted = self.wanted.as_ref();
        wanted.is_some_and(|names| self.kind.is_wildcard() || !names.is_empty())
    }

    /// The names to ask for. In delta all of a wildcard kind are `*`, so that they compare as names do.
    pub(super) fn names(&self) -> BTreeSet<Arc<str>> {
        match &self.wanted {
            Some(names) if names.is_empty() && self.kind.is_wildcard() => [WILDCARD.into()].into(),
            Some(names) => names.clone(),
            None => BTreeSet::new(),
        }
    }

    /// The names that may come; none where all may.
    fn filter(&self) -> Option<&BTreeSet<Arc<str>>> {
        let is_all = |names: &BTreeSet<Arc<str>>| {
            self.kind.is_wildcard() && (names.is_empty() || names.contains(WILDCARD))
        };
        self.wanted.as_ref().filter(|names| !is_all(names))
    }

    /// What is not wanted is not held either, and has to be sent again when it is wanted again.
    fn forget_unwanted(&mut self) {
        let mut known = mem::take(&mut self.known);
        match self.filter() {
            Some(wanted) => known.retain(|name, _| wanted.contains(name)),
            None if self.wanted.is_none() => known.clear(),
            None => {}
        }
        self.known = known;
    }

    /// A new stream has no nonce, and was asked nothing.
    pub(super) fn begin(&mut self, number: u64) {
        self.answers.clear();
        self.stream = OnStream {
            number,
            ..OnStream::default()
        };
    }

    /// Takes a response in.
    pub(super) fn receive(&mut self, content: Content, nonce: String, now: Instant) -> Outcome {
        if self.wanted.is_none() {
            self.stream.nonce = nonce;
            return Outcome::Ignored;
        }
        let stream = self.stream.number;
        if self.variant == Variant::StateOfTheWorld {
            // Older responses cannot be answered any more.
            self.stream.nonce.clone_from(&nonce);
            self.answers.clear();
            if let (Ok(update), Some(_)) = (&content.update, self.filter()) {
                let room = limits::NAMES_REMEMBERED_MAX.saturating_sub(self.stream.came.len());
                let names = update.resources.iter().map(|raw| Arc::clone(&raw.name));
                self.stream.came.extend(names.take(room));
            }
        }
        let nonce = Nonce { stream, value: nonce };
        self.renew(&content, now);
        match Batch::of(content, nonce.clone(), self.filter(), &self.known) {
            Ok(batch) => {
                self.queue(batch);
                Outcome::Waits
            }
            Err(Settled::Refused { message, hash }) => {
                tracing::warn!(message, "a response is refused as a whole");
                self.fetch_ends();
                self.answer(&[nonce], Some(&Refusal::new(&message, hash)));
                Outcome::Refused
            }
            Err(Settled::Unchanged { version }) => {
                self.version = version;
                self.answer(&[nonce], None);
                Outcome::Unchanged
            }
        }
    }

    /// What a response brings, and what it says lives on, does so from now on for as long as it says.
    fn renew(&mut self, content: &Content, now: Instant) {
        let Ok(update) = &content.update else {
            return;
        };
        if content.lives.is_empty() && self.lifetimes.is_empty() {
            return;
        }
        let mut lifetimes = mem::take(&mut self.lifetimes);
        let wanted = self.filter();
        let came = update.resources.iter().map(|raw| &raw.name);
        let came = came.filter(|name| wanted.is_none_or(|wanted| wanted.contains(*name)));
        // A heartbeat of what is not there means nothing.
        let there = |name: &str| lifetimes.knows(name) || self.known.contains_key(name);
        let beats: Vec<_> = content.unchanged.iter().filter(|name| there(name)).collect();
        for name in came.chain(beats) {
            lifetimes.renew(name, content.lives.get(name).copied(), now);
        }
        self.lifetimes = lifetimes;
    }

    /// Removes what was not renewed in time, as if the control plane had.
    pub(super) fn end(&mut self, now: Instant) {
        let ended = self.lifetimes.ended(now);
        if !ended.is_empty() {
            tracing::info!(kind = ?self.kind, names = ?ended, "resources were not renewed in time: they are removed");
            self.queue(Batch::ended(self.kind, ended));
        }
    }

    /// When the next resource ends that nobody renews.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.lifetimes.next()
    }

    /// What is neither there nor on its way has no end either.
    fn forget_ended(&mut self) {
        if self.lifetimes.is_empty() {
            return;
        }
        let (mut lifetimes, known) = (mem::take(&mut self.lifetimes), &self.known);
        let in_hand = self.in_hand.iter().map(|(_, batch)| batch);
        let waiting = self.held.iter().chain(in_hand).chain(&self.waiting);
        let waiting = waiting.flat_map(|batch| &batch.update.resources);
        let waiting: BTreeSet<&str> = waiting.map(|raw| &*raw.name).collect();
        lifetimes.retain(|name| known.contains_key(name) || waiting.contains(name));
        self.lifetimes = lifetimes;
    }

    fn queue(&mut self, newer: Batch) {
        // A state of the world makes those before it moot. Of changes each is judged alone, so that one that is refused
        // takes no other with it, as long as they are not too many.
        let merges =
            self.variant == Variant::StateOfTheWorld || self.waiting.len() >= limits::RESPONSES_WAITING_MAX;
        let newer = match self.waiting.pop_back() {
            Some(last) if merges => last.merge(newer),
            Some(last) => {
                self.waiting.push_back(last);
                newer
            }
            None => newer,
        };
        self.waiting.push_back(newer);
    }

    pub(super) fn has_delivery(&self) -> bool {
        self.in_hand.is_none() && !self.waiting.is_empty()
    }

    /// The next update to judge, if none is being judged.
    pub(super) fn deliver(&mut self, token: Token) -> Option<Update> {
        if self.in_hand.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        let mut batch = match self.held.take() {
            Some(held) => held.merge(next),
            None => next,
        };
        if batch.is_of_time() {
            batch.update.version = Arc::clone(&self.version);
        }
        let update = batch.update.clone();
        self.in_hand = Some((token, batch));
        Some(update)
    }

    /// The update was put aside without a verdict.
    pub(super) fn put_aside(&mut self, token: Token) {
        if self.in_hand.as_ref().is_some_and(|(held, _)| *held == token) {
            self.held = self.in_hand.take().map(|(_, batch)| batch);
        }
    }

    /// What became of an update; false if it is not the one in hand.
    pub(super) fn judge(&mut self, token: Token, verdict: &Verdict) -> bool {
        let Some((held, batch)) = self.in_hand.take() else {
            return false;
        };
        if held != token {
            self.in_hand = Some((held, batch));
            return false;
        }
        self.fetch_ends();
        match verdict {
            Verdict::Accepted => {
                batch.apply_to(&mut self.known);
                self.version = Arc::clone(&batch.update.version);
                self.answer(&batch.nonces, None);
            }
            Verdict::Rejected(rejection) => {
                if !rejection.whole {
                    let failed = rejection.failed.iter();
                    // They keep what they had.
                    let had = failed.filter_map(|name| self.known.get_key_value(name));
                    let had: Vec<_> = had
                        .map(|(name, version)| (Arc::clone(name), Arc::clone(version)))
                        .collect();
                    batch.apply_to(&mut self.known);
                    self.known.retain(|name, _| !rejection.failed.contains(name));
                    self.known.extend(had);
                }
                let refusal = Refusal::new(&rejection.message, batch.hash);
                self.answer(&batch.nonces, Some(&refusal));
            }
        }
        self.forget_unwanted();
        self.forget_ended();
        true
    }

    /// Owes an answer to these responses, as far as they can still be answered.
    fn answer(&mut self, nonces: &[Nonce], refused: Option<&Refusal>) {
        let answerable = nonces.iter().filter(|nonce| nonce.stream == self.stream.number);
        for nonce in answerable {
            let newest = nonce.value == self.stream.nonce;
            if self.variant == Variant::StateOfTheWorld && !newest {
                continue;
            }
            if self.answers.len() >= limits::ANSWERS_OWED_MAX {
                // Servers wait for the answer to the newest.
                self.answers.pop_front();
            }
            self.answers.push_back(Answer {
                nonce: nonce.value.clone(),
                refused: refused.cloned(),
            });
        }
    }

    /// When the next request is due.
    pub(super) fn due(&self, now: Instant) -> Due {
        if !self.stream.begun {
            return if self.is_wanted() {
                Due::At(now)
            } else {
                Due::Never
            };
        }
        if self.stream.changed {
            return Due::At(now);
        }
        match self.answers.front().map(|answer| &answer.refused) {
            None => Due::Never,
            Some(None) => Due::At(now),
            Some(Some(refusal)) => Due::At(self.refusals.earliest(refusal.hash, now)),
        }
    }

    /// The versions by name that there will be when all that has come is accepted: what a server need not send again.
    pub(super) fn expected(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let mut expected = self.known.clone();
        let in_hand = self.in_hand.iter().map(|(_, batch)| batch);
        for batch in self.held.iter().chain(in_hand).chain(&self.waiting) {
            batch.apply_to(&mut expected);
        }
        if let Some(wanted) = self.filter() {
            expected.retain(|name, _| wanted.contains(name));
        }
        expected
    }

    fn fetch_ends(&mut self) {
        self.fetched = true;
        self.fetch_by = None;
    }

    /// By when the first resources should be there, while they are not.
    pub(super) fn fetch_by(&self) -> Option<Instant> {
        self.fetch_by
    }

    /// Whether the first resources have not come in time; true once.
    pub(super) fn timed_out(&mut self, now: Instant) -> bool {
        let late = self.fetch_by.is_some_and(|by| by <= now);
        if late {
            self.fetch_ends();
        }
        late
    }
}

/// All resources of a kind.
pub(super) const WILDCARD: &str = "*";
