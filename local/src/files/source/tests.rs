use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_knative::{Defaults, Position, load};

use super::*;

/// Files that are edited, and a clock.
struct Desk {
    source: ObjectSource,
    reading: Reading,
    start: Instant,
    millis: u64,
}

impl Desk {
    fn new() -> Self {
        let (source, reading) = (ObjectSource::default(), Reading::default());
        Self {
            source,
            reading,
            start: Instant::now(),
            millis: 0,
        }
    }

    /// Writes Services into a file: `hello=1 other=2` are names and images.
    fn write(&mut self, file: &str, services: &str) -> &mut Self {
        let objects = load(file, &yaml(services), &Defaults::default()).unwrap();
        self.reading
            .files
            .insert(file.into(), Content::Objects(objects.into()));
        self
    }

    fn cut(&mut self, file: &str) -> &mut Self {
        let problems = load(file, "kind: Ser", &Defaults::default()).unwrap_err();
        self.reading
            .files
            .insert(file.into(), Content::Broken(problems.into()));
        self
    }

    fn delete(&mut self, file: &str) -> &mut Self {
        self.reading.files.remove(Path::new(file));
        self
    }

    /// Reads after so many milliseconds.
    fn read(&mut self, millis: u64) -> Change {
        self.millis += millis;
        self.source
            .on_read(self.start + Duration::from_millis(self.millis), &self.reading)
    }

    /// What is in effect, as it was written.
    fn held(&self) -> String {
        let held = self.source.held.values().map(|held| match &held.object {
            Object::Service(service) => {
                format!(
                    "{}={}",
                    service.metadata.name, service.template.spec.serving.image
                )
            }
            other => panic!("{other:?}"),
        });
        held.collect::<Vec<_>>().join(" ")
    }
}

fn yaml(services: &str) -> String {
    let documents = services.split_whitespace().map(|service| {
        let (name, image) = service.split_once('=').unwrap();
        format!(
            "apiVersion: serving.knative.dev/v1
kind: Service
metadata: {{ name: {name} }}
spec: {{ template: {{ spec: {{ containers: [{{ image: \"{image}\" }}] }} }} }}
"
        )
    });
    documents.collect::<Vec<_>>().join("---\n")
}

fn told(change: &Change) -> Vec<String> {
    change.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn an_edited_object_takes_effect_at_once() {
    let mut desk = Desk::new();
    assert!(desk.write("a.yaml", "hello=1").read(0).objects.is_some());
    assert_eq!(desk.read(0), Change::default(), "nothing is new");
    assert!(desk.write("a.yaml", "hello=2 other=1").read(0).objects.is_some());
    assert_eq!(desk.held(), "hello=2 other=1");
}

#[test]
fn a_broken_file_changes_nothing_and_is_told() {
    let mut desk = Desk::new();
    desk.write("a.yaml", "hello=1").write("b.yaml", "other=1").read(0);
    let change = desk.cut("a.yaml").read(0);
    assert_eq!(change.objects, None);
    assert!(told(&change).concat().starts_with("a.yaml:1:"), "{change:?}");
    let change = desk.write("b.yaml", "other=2").read(5000);
    assert_eq!(told(&change), [""; 0], "it is told once");
    assert_eq!(desk.held(), "hello=1 other=2");
    assert_eq!(
        told(&desk.cut("a.yaml").read(0)).len(),
        1,
        "it was touched, and is broken still"
    );
    desk.write("a.yaml", "hello=3").read(0);
    assert_eq!(desk.held(), "hello=3 other=2");
}

#[test]
fn what_a_file_lacks_goes_a_second_later() {
    let mut desk = Desk::new();
    desk.write("a.yaml", "hello=1 other=1").read(0);
    assert_eq!(desk.write("a.yaml", "hello=1").read(0).problems, []);
    assert_eq!(desk.held(), "hello=1 other=1");
    let recheck = desk.source.recheck_at().unwrap();
    assert_eq!(recheck.duration_since(desk.start), Duration::from_secs(1));
    desk.read(999);
    assert_eq!(desk.held(), "hello=1 other=1");
    assert!(desk.read(1).objects.is_some());
    assert_eq!(desk.held(), "hello=1");
    assert_eq!(desk.source.recheck_at(), None);
}

#[test]
fn a_file_that_is_written_in_pieces_loses_nothing() {
    let mut desk = Desk::new();
    desk.write("a.yaml", "hello=1 other=1").read(0);
    desk.write("a.yaml", "hello=1").read(0);
    desk.cut("a.yaml").read(600);
    assert_eq!(desk.source.recheck_at(), None);
    desk.write("a.yaml", "hello=1").read(600);
    assert_eq!(
        desk.held(),
        "hello=1 other=1",
        "the second counts from the last complete file"
    );
    desk.write("a.yaml", "hello=1 other=2").read(900);
    assert_eq!(desk.held(), "hello=1 other=2");
    assert_eq!(desk.source.recheck_at(), None);
}

#[test]
fn a_deleted_file_takes_its_objects_along_at_once() {
    let mut desk = Desk::new();
    desk.write("a.yaml", "hello=1").write("b.yaml", "other=1").read(0);
    assert_eq!(
        desk.delete("b.yaml").read(0).objects.map(|objects| objects.len()),
        Some(1)
    );
    assert_eq!(
        desk.delete("a.yaml").read(0).objects,
        Some(Vec::new()),
        "an empty directory is no mistake later"
    );
}

#[test]
fn an_object_may_move_to_another_file() {
    let mut desk = Desk::new();
    desk.write("a.yaml", "hello=1 other=1").read(0);
    desk.write("a.yaml", "hello=1").read(0);
    desk.write("b.yaml", "other=2").read(500);
    assert_eq!(desk.held(), "hello=1 other=2");
    desk.delete("a.yaml").write("c.yaml", "hello=2").read(0);
    assert_eq!(desk.held(), "hello=2 other=2");
}

#[test]
fn an_object_in_two_places_stays_as_it_was_and_both_are_told() {
    let mut desk = Desk::new();
    desk.write("a.yaml", "hello=1").read(0);
    let change = desk.write("b.yaml", "other=1 hello=2 third=1").read(0);
    assert_eq!(desk.held(), "hello=1 other=1 third=1");
    let expected =
        "b.yaml:8:19: metadata.name: Service default/hello is also at a.yaml:1:1 (keep one of the two)";
    assert_eq!(told(&change), [expected]);
    assert_eq!(told(&desk.read(0)), [""; 0], "it is told once");
    desk.delete("a.yaml").read(0);
    assert_eq!(desk.held(), "hello=2 other=1 third=1");
}

#[test]
fn what_cannot_be_listed_is_not_gone() {
    let mut desk = Desk::new();
    desk.write("dir/a.yaml", "hello=1").read(0);
    let (file, message) = ("dir".into(), "cannot be read".to_owned());
    let problem = Problem {
        file,
        position: Position::START,
        path: String::new(),
        message,
        hint: None,
    };
    desk.reading.unlisted.push(("dir".into(), problem));
    assert_eq!(
        told(&desk.delete("dir/a.yaml").read(0)),
        ["dir:1:1: cannot be read"]
    );
    assert_eq!(desk.held(), "hello=1");
    desk.reading.unlisted.clear();
    desk.read(0);
    assert_eq!(desk.held(), "");
}

#[derive(Clone, Debug)]
enum Edit {
    Write(u8, BTreeSet<u8>),
    Cut(u8),
    Delete(u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let services = proptest::collection::btree_set(0..3_u8, 1..3);
    prop_oneof![
        3 => (0..2_u8, services).prop_map(|(file, services)| Edit::Write(file, services)),
        1 => (0..2_u8).prop_map(Edit::Cut),
        1 => (0..2_u8).prop_map(Edit::Delete),
    ]
}

proptest! {
    #[test]
    fn objects_go_only_with_their_file_or_after_a_second(
        edits in proptest::collection::vec((edit(), 0..1500_u64), 1..30),
    ) {
        let mut desk = Desk::new();
        for (edit, millis) in edits {
            let before: Vec<_> =
                desk.source.held.iter().map(|(key, held)| (key.clone(), held.file.clone(), held.missing_since)).collect();
            match edit {
                Edit::Write(file, services) => {
                    let services = services.iter().map(|service| format!("s{service}=1")).collect::<Vec<_>>();
                    desk.write(&format!("{file}.yaml"), &services.join(" "));
                }
                Edit::Cut(file) => _ = desk.cut(&format!("{file}.yaml")),
                Edit::Delete(file) => _ = desk.delete(&format!("{file}.yaml")),
            }
            let change = desk.read(millis);
            let now = desk.start + Duration::from_millis(desk.millis);
            for (key, file, missing) in before {
                let deleted = !desk.reading.files.contains_key(&file);
                let waited = missing.is_some_and(|since| now >= since + FILES_RECHECK);
                prop_assert!(desk.source.held.contains_key(&key) || deleted || waited);
            }
            if let Some(objects) = change.objects {
                prop_assert_eq!(objects.len(), desk.source.held.len());
            }
            prop_assert_eq!(desk.read(0), Change::default());
        }
    }
}
