//! One revision on this machine: how many replicas it has, which of them serve, what happens when they fail.
//!
//! A task of its own, fed by messages. What it decides is pure and elsewhere: how many replicas
//! ([`tidegate_autoscaler`]), when to try again (`starts`), whom to stop (`members`).

mod bring_up;
mod members;
mod report;
pub(crate) mod starts;

use std::sync::Arc;

use tidegate_activator::{Refusal, Revision as Throttle};
use tidegate_autoscaler as autoscaler;
use tidegate_autoscaler::{Load, Reachability, RevisionSpec as ScaleSpec};
use tidegate_controller::ObjectName;
use tidegate_controller::plan::Start;
use tidegate_proxy::process;
use tidegate_queue_proxy::Timeouts;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::board::Board;
use crate::clock::Clock;
use crate::exit::Exit;
use crate::host::Host;
use crate::launcher::Launcher;
use crate::limits::{CRASH_FORGIVEN_AFTER, REPLICAS_MAX, REPORT_INTERVAL, REVISION_MAILBOX, STOP_GRACE};
use crate::replica::ReplicaName;

use bring_up::Candidate;
use members::Members;
use starts::{Failed, Starts, Verdict};

pub(crate) use report::Report;

/// What a revision's task is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// The load of the last second, or the first request after none.
    Load(Load),
    /// Whether a route leads here.
    Reachability(Reachability),
    /// How it begins: with its first request, or at once, because traffic is to move here.
    Begin(Start),
    /// A replica's start came to this.
    Started(u32, Result<bring_up::Ready, Failed>),
    /// A replica is gone.
    Exited(u32, Exit),
    /// End all replicas, then the task.
    Remove,
}

/// What a revision needs of its surroundings.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) host: Host,
    pub(crate) clock: Clock,
    /// Where it is shown how the revisions stand.
    pub(crate) board: Board,
}

/// What makes one revision different from another.
pub(crate) struct Identity {
    pub(crate) name: ObjectName,
    pub(crate) scale: ScaleSpec,
    /// None: this machine cannot run it, and its requests are refused.
    pub(crate) launcher: Option<Launcher>,
    /// Where its requests wait.
    pub(crate) throttle: Arc<Throttle>,
    /// Requests that one replica takes at a time; 0 for any number.
    pub(crate) container_concurrency: u32,
    /// How long requests may take: a replica that stops gets as long for those it has.
    pub(crate) timeouts: Timeouts,
}

/// Speaks to a revision's task.
#[derive(Clone, Debug)]
pub(crate) struct RevisionHandle {
    mailbox: mpsc::Sender<Message>,
    ended: watch::Receiver<()>,
}

impl RevisionHandle {
    /// Starts the task.
    pub(crate) fn start(identity: Identity, surroundings: Surroundings) -> Self {
        let (mailbox, inbox) = mpsc::channel(REVISION_MAILBOX);
        let (alive, ended) = watch::channel(());
        let guard = surroundings.host.tasks.guard();
        let scaler = autoscaler::Revision::new(identity.scale.clone(), surroundings.clock.now());
        let keeper = Keeper {
            members: Members::default(),
            starts: Starts::default(),
            retry_at: None,
            reachability: Reachability::default(),
            is_proving: false,
            was_ready: false,
            removing: false,
            wanted: 0,
            mailbox: mailbox.clone(),
            last_report: None,
            scaler,
            identity,
            surroundings,
        };
        process::spawn("revision", guard, async move {
            keeper.run(inbox).await;
            drop(alive);
        });
        Self { mailbox, ended }
    }

    /// Tells it something it must not miss.
    pub(crate) async fn tell(&self, message: Message) {
        // A task that has ended has nothing left to be told.
        let _ended = self.mailbox.send(message).await.is_err();
    }

    /// Tells it the load; where the mailbox is full, the next second's will do.
    pub(crate) fn load(&self, load: Load) {
        let _full = self.mailbox.try_send(Message::Load(load)).is_err();
    }

    /// Whether all its replicas are gone, after [`Message::Remove`].
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.has_changed().is_err()
    }

    /// Resolves when all its replicas are gone, after [`Message::Remove`].
    pub(crate) async fn ended(mut self) {
        while self.ended.changed().await.is_ok() {}
    }
}

/// The task's state.
struct Keeper {
    identity: Identity,
    surroundings: Surroundings,
    scaler: autoscaler::Revision,
    members: Members,
    starts: Starts,
    retry_at: Option<Instant>,
    reachability: Reachability,
    /// Whether one replica is to run whatever the load, until it was ready.
    is_proving: bool,
    /// Whether a replica was ever ready.
    was_ready: bool,
    removing: bool,
    wanted: u32,
    mailbox: mpsc::Sender<Message>,
    last_report: Option<Report>,
}

impl Keeper {
    async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        let mut seconds = tokio::time::interval(REPORT_INTERVAL);
        // The seconds in which it rested are not made up for.
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.decide();
        loop {
            self.reconcile();
            self.report();
            if self.removing && self.members.is_empty() {
                return;
            }
            let resting = self.is_resting();
            let due = self.due();
            tokio::select! {
                message = inbox.recv() => match message {
                    Some(message) => self.on(message),
                    None => self.removing = true,
                },
                _ = seconds.tick(), if !resting => self.scaler.record(self.now(), Load::default()),
                () = tokio::time::sleep_until(due), if !resting => self.on_due(),
            }
        }
    }

    fn on(&mut self, message: Message) {
        match message {
            Message::Load(load) => {
                let now = self.now();
                self.scaler.record(now, load);
                if self.scaler.next_wakeup() <= now {
                    self.decide();
                }
            }
            Message::Reachability(reachability) => {
                self.reachability = reachability;
                self.scaler.set_reachability(reachability);
                self.decide();
            }
            Message::Begin(start) => self.begin(start),
            Message::Started(index, Ok(ready)) => self.on_ready(index, ready),
            Message::Started(index, Err(failed)) => self.on_failed(index, failed),
            Message::Exited(index, exit) => self.on_exited(index, exit),
            Message::Remove => self.removing = true,
        }
    }

    /// A revision that is to be proven begins with one replica, as Knative begins every revision: it becomes ready, and
    /// stays for the traffic that moves here until a whole stable window was quiet. One that was overtaken before it
    /// was ready is no longer tried.
    fn begin(&mut self, start: Start) {
        let is_to_be_proven = start == Start::Prove && !self.was_ready;
        if is_to_be_proven != self.is_proving && !self.was_ready {
            let mut scale = self.identity.scale.clone();
            if is_to_be_proven {
                scale.scaler.initial_scale = scale.scaler.initial_scale.max(1);
            }
            self.scaler = autoscaler::Revision::new(scale, self.now());
            self.scaler.set_reachability(self.reachability);
        }
        self.is_proving = is_to_be_proven;
        self.decide();
    }

    fn on_due(&mut self) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            if !self.removing {
                self.identity.throttle.accept();
            }
        }
        if self.scaler.next_wakeup() <= self.now() {
            self.decide();
        }
    }

    /// Asks the autoscaler.
    fn decide(&mut self) {
        let tick = self.scaler.tick(self.now(), self.members.ready_count());
        if tick.replicas == 0 && self.wanted > 0 {
            self.event(format_args!("scaling to zero"));
        }
        if tick.replicas > REPLICAS_MAX && self.wanted < REPLICAS_MAX {
            self.event(format_args!(
                "the load asks for {} replicas: {REPLICAS_MAX} are the most on one machine",
                tick.replicas
            ));
        }
        self.wanted = tick.replicas.min(REPLICAS_MAX);
    }

    /// Starts and stops replicas until as many run as are wanted.
    fn reconcile(&mut self) {
        let is_possible = self.identity.launcher.is_some() && !self.removing;
        let wanted = if is_possible { self.wanted } else { 0 };
        while self.members.serving_count() > wanted {
            let Some(index) = self.members.pick_to_stop() else {
                break;
            };
            self.retire(index);
        }
        if self.retry_at.is_none() {
            while self.members.serving_count() < wanted && self.retry_at.is_none() {
                self.start_one();
            }
        }
    }

    fn start_one(&mut self) {
        let Some(launcher) = &self.identity.launcher else {
            return;
        };
        let index = self.members.free_index();
        let revision = self.identity.name.name.clone();
        let name = ReplicaName {
            service: launcher.service().to_owned(),
            revision,
            index,
        };
        match launcher.launch(name, &self.surroundings.host) {
            Ok(launched) => {
                self.event(format_args!("replica {index} starting: {}", launched.what));
                let replica = Arc::new(launched.replica);
                self.members.add(index, Arc::clone(&replica));
                let candidate = Candidate {
                    replica,
                    probe: launched.probe,
                    commands: launched.commands,
                    deadline: launcher.progress_deadline(),
                };
                self.follow(index, candidate);
            }
            Err(failed) => self.on_start_failure(index, failed),
        }
    }

    /// Follows a replica from its start to its end, in a task of its own.
    fn follow(&self, index: u32, candidate: Candidate) {
        let mailbox = self.mailbox.clone();
        let (terminal, name) = (
            self.surroundings.host.terminal.clone(),
            self.identity.name.name.clone(),
        );
        let follow = async move {
            let notice = |text: &str| terminal.event(&format!("{name}: replica {index} {text}"));
            let started = candidate.bring_up(notice).await;
            let is_up = started.is_ok();
            let _ended = mailbox.send(Message::Started(index, started)).await.is_err();
            if !is_up {
                candidate.replica.stop(STOP_GRACE).await;
            }
            let exit = candidate.replica.exited().await;
            let _ended = mailbox.send(Message::Exited(index, exit)).await.is_err();
        };
        process::spawn("replica-follow", self.surroundings.host.tasks.guard(), follow);
    }

    fn on_ready(&mut self, index: u32, ready: bring_up::Ready) {
        let took = ready.took();
        if !self.members.set_ready(index, ready, &self.identity) {
            return;
        }
        self.retry_at = None;
        self.was_ready = true;
        self.identity.throttle.accept();
        self.publish();
        self.event(format_args!(
            "replica {index} ready after {} ms",
            took.as_millis()
        ));
    }

    fn on_failed(&mut self, index: u32, failed: Failed) {
        if self.members.set_failed(index) {
            self.on_start_failure(index, failed);
        }
    }

    /// Several replicas that were started together and fail together are one failure. Requests are refused only when no
    /// other replica serves or may still come up.
    fn on_start_failure(&mut self, index: u32, failed: Failed) {
        let Failed { message, repeats } = failed;
        self.event(format_args!("replica {index} failed to start: {message}"));
        if self.retry_at.is_some() {
            return;
        }
        let (pause, gave_up) = match self.starts.failed(repeats) {
            Verdict::Retry(pause) => (pause, false),
            Verdict::GiveUp(pause) => (pause, self.members.serving_count() == 0),
        };
        self.retry_at = Some(Instant::now() + pause);
        if gave_up {
            let revision = &self.identity.name.name;
            let message = format!("revision {revision} does not come up: {message}");
            self.identity.throttle.refuse(Refusal {
                message,
                retry_after: pause,
            });
        }
    }

    fn on_exited(&mut self, index: u32, exit: Exit) {
        let Some(member) = self.members.remove(index) else {
            return;
        };
        self.publish();
        let Some(served) = member.served_for() else { return };
        let last_words = bring_up::last_words(member.replica());
        self.event(format_args!("replica {index} {exit} while it served{last_words}"));
        if served >= CRASH_FORGIVEN_AFTER {
            self.starts.succeeded();
        } else {
            let message = format!("it {exit} soon after it was ready{last_words}");
            self.on_start_failure(index, Failed::perhaps(message));
        }
    }

    /// Takes a replica out of service: no new request, then, once those it has are done, its end.
    fn retire(&mut self, index: u32) {
        let Some(retired) = self.members.retire(index) else {
            return;
        };
        if retired.served() {
            self.starts.succeeded();
        }
        self.publish();
        let (patience, guard) = (
            self.identity.timeouts.request,
            self.surroundings.host.tasks.guard(),
        );
        process::spawn("replica-retire", guard, async move {
            retired.drained(patience).await;
            retired.replica.stop(STOP_GRACE).await;
        });
    }

    /// Tells the waiting requests which replicas serve now.
    fn publish(&self) {
        self.identity.throttle.set_pods(self.members.pods());
    }

    fn is_resting(&self) -> bool {
        self.wanted == 0 && self.members.is_empty() && self.retry_at.is_none()
    }

    fn due(&self) -> Instant {
        let tick = self.surroundings.clock.instant(self.scaler.next_wakeup());
        self.retry_at.map_or(tick, |retry| retry.min(tick))
    }

    fn now(&self) -> autoscaler::Time {
        self.surroundings.clock.now()
    }

    fn event(&self, what: std::fmt::Arguments<'_>) {
        self.surroundings
            .host
            .terminal
            .event(&format!("{}: {what}", self.identity.name.name));
    }
}
