//! What people and tools see of the services: a table at the start, JSON on the admin port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tidegate_controller::ObjectName;
use tokio::sync::Notify;

use crate::revision::Report;

/// The last that is known of everything. Clones show the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Board {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    shown: Mutex<Shown>,
    changed: Notify,
}

#[derive(Debug, Default, Serialize)]
struct Shown {
    services: BTreeMap<String, ServiceLine>,
    #[serde(serialize_with = "by_name")]
    revisions: BTreeMap<ObjectName, Report>,
    /// The revisions that [`Board::news`] has not told yet.
    #[serde(skip)]
    untold: BTreeSet<ObjectName>,
}

fn by_name<S: serde::Serializer>(revisions: &BTreeMap<ObjectName, Report>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(revisions.iter().map(|(name, report)| (name.to_string(), report)))
}

/// One service or route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ServiceLine {
    pub(crate) url: String,
    /// The revisions behind it with their percent.
    pub(crate) revisions: BTreeMap<String, u8>,
    /// URLs of its tags.
    pub(crate) tags: BTreeMap<String, String>,
    /// Why it is not as its file says, if so.
    pub(crate) trouble: Option<String>,
}

impl Board {
    /// Replaces the services, and forgets revisions that are no more.
    pub(crate) fn set_services(&self, services: BTreeMap<String, ServiceLine>, known: &BTreeSet<ObjectName>) {
        let mut shown = self.shown();
        shown.services = services;
        shown.revisions.retain(|name, _| known.contains(name));
        shown.untold.retain(|name| known.contains(name));
    }

    /// Puts up how a revision stands now. Never waits: of several reports in a row only the last is told.
    pub(crate) fn set_revision(&self, name: &ObjectName, report: Report) {
        let mut shown = self.shown();
        shown.revisions.insert(name.clone(), report);
        shown.untold.insert(name.clone());
        drop(shown);
        self.inner.changed.notify_one();
    }

    /// Waits until revisions have changed, and tells how they stand. Safe to drop.
    pub(crate) async fn news(&self) -> Vec<(ObjectName, Report)> {
        loop {
            let news = self.take_news();
            if !news.is_empty() {
                return news;
            }
            self.inner.changed.notified().await;
        }
    }

    fn take_news(&self) -> Vec<(ObjectName, Report)> {
        let mut shown = self.shown();
        let untold = std::mem::take(&mut shown.untold);
        let news = untold.into_iter().filter_map(|name| {
            let report = shown.revisions.get(&name)?.clone();
            Some((name, report))
        });
        news.collect()
    }

    /// As JSON.
    pub(crate) fn json(&self) -> String {
        // Plain data with text keys: it always has a JSON form.
        serde_json::to_string(&*self.shown()).unwrap_or_default()
    }

    /// As the lines of a table.
    pub(crate) fn table(&self) -> Vec<String> {
        let shown = self.shown();
        let mut rows = vec![["SERVICE", "URL", "REVISION", "STATE"].map(str::to_owned)];
        for (name, service) in &shown.services {
            let namespace = name.split('/').next().unwrap_or_default();
            let mut first = true;
            for (revision, percent) in &service.revisions {
                let report = shown
                    .revisions
                    .get(&ObjectName::new(namespace, revision.as_str()));
                let state = report.map_or_else(|| "zero".to_owned(), Report::state);
                let share = if *percent == 100 {
                    String::new()
                } else {
                    format!(" ({percent}%)")
                };
                let (name, url) = if first {
                    (name.as_str(), service.url.as_str())
                } else {
                    ("", "")
                };
                rows.push([
                    name.to_owned(),
                    url.to_owned(),
                    format!("{revision}{share}"),
                    state,
                ]);
                first = false;
            }
            if first {
                rows.push([
                    name.clone(),
                    service.url.clone(),
                    "-".to_owned(),
                    "not routed".to_owned(),
                ]);
            }
            let tags = service
                .tags
                .iter()
                .map(|(tag, url)| [String::new(), url.clone(), format!("tag {tag}"), String::new()]);
            rows.extend(tags);
        }
        aligned(&rows)
    }

    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.inner.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Columns two blanks apart, as wide as their widest cell.
fn aligned(rows: &[[String; 4]]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(String::len)
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 4] = std::array::from_fn(width);
    let line = |row: &[String; 4]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_revision_and_tag() {
        let board = Board::default();
        let service = ServiceLine {
            url: "http://hello.default.localhost:8080".to_owned(),
            revisions: BTreeMap::from([("hello-00001".to_owned(), 50), ("hello-00002".to_owned(), 50)]),
            tags: BTreeMap::from([(
                "old".to_owned(),
                "http://old-hello.default.localhost:8080".to_owned(),
            )]),
            trouble: None,
        };
        board.set_services(
            BTreeMap::from([("default/hello".to_owned(), service)]),
            &BTreeSet::from([ObjectName::new("default", "hello-00001")]),
        );
        board.set_revision(
            &ObjectName::new("default", "hello-00001"),
            Report {
                ready: 1,
                replicas: 1,
                ..Report::default()
            },
        );
        let expected = [
            "SERVICE        URL                                      REVISION           STATE",
            "default/hello  http://hello.default.localhost:8080      hello-00001 (50%)  1 replica",
            "                                                        hello-00002 (50%)  zero",
            "               http://old-hello.default.localhost:8080  tag old",
        ];
        assert_eq!(board.table(), expected);
    }
}
