use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

/// Longer than any reading takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn service(name: &str, image: &str) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata: {{ name: {name} }}
spec: {{ template: {{ spec: {{ containers: [{{ image: \"{image}\" }}] }} }} }}
"
    )
}

/// What is in effect: `hello=1 other=2` are names and images.
fn shown(objects: &[Object]) -> String {
    let services = objects.iter().map(|object| match object {
        Object::Service(service) => {
            format!(
                "{}={}",
                service.metadata.name, service.template.spec.serving.image
            )
        }
        other => panic!("{other:?}"),
    });
    services.collect::<Vec<_>>().join(" ")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// As many editors do: beside it, then over it.
    fn replace(&self, name: &str, text: &str) {
        self.write("draft~", text);
        fs::rename(self.path("draft~"), self.path(name)).unwrap();
    }

    async fn open(&self, name: &str) -> Watcher {
        Watcher::open(&[self.path(name)], Defaults::default())
            .await
            .unwrap()
            .0
    }
}

/// Waits until these objects are in effect.
async fn until(watcher: &mut Watcher, expected: &str) {
    let seen = async {
        loop {
            let change = watcher.next().await;
            if change.objects.is_some_and(|objects| shown(&objects) == expected) {
                return;
            }
        }
    };
    timeout(PATIENCE, seen)
        .await
        .unwrap_or_else(|_| panic!("never saw {expected:?}: {watcher:?}"));
}

/// Waits for problems, and returns them.
async fn problems(watcher: &mut Watcher) -> String {
    let told = async {
        loop {
            let change = watcher.next().await;
            if !change.problems.is_empty() {
                return change
                    .problems
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join("\n");
            }
        }
    };
    timeout(PATIENCE, told).await.expect("problems")
}

#[test]
fn a_directory_holds_its_own_object_files_only() {
    let folder = Folder::new();
    fs::create_dir(folder.path("deeper")).unwrap();
    for (name, image) in [
        ("b.yml", "2"),
        ("a.yaml", "1"),
        ("deeper/c.yaml", "3"),
        (".d.yaml", "4"),
        ("e.txt", "5"),
    ] {
        folder.write(name, &service(&format!("s{image}"), image));
    }
    folder.write("f.json", r#"{"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"name":"s6"},"spec":{"template":{"spec":{"containers":[{"image":"6"}]}}}}"#);
    let paths = [
        folder.0.path().to_owned(),
        folder.path("a.yaml"),
        folder.path("e.txt"),
    ];
    assert_eq!(
        shown(&read(&paths, Defaults::default()).unwrap()),
        "s1=1 s2=2 s5=5 s6=6",
        "each once, and any file that is named"
    );
}

#[test]
fn all_problems_of_all_files_are_told_at_once() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1").replace("image", "imgae"));
    folder.write("b.yaml", "# nothing yet\n");
    folder.write("c.yaml", &service("hello", "2"));
    folder.write("d.yaml", &service("hello", "3"));
    fs::write(folder.path("e.yaml"), b"\xff").unwrap();
    let found = read(
        &[folder.0.path().to_owned(), folder.path("nowhere")],
        Defaults::default(),
    )
    .unwrap_err();
    let prefix = format!("{}/", folder.0.path().display());
    let found: Vec<_> = found
        .iter()
        .map(|problem| problem.to_string().replace(&prefix, ""))
        .collect();
    let expected = [
        "a.yaml:4:",
        "a.yaml:4:",
        "b.yaml:1:1: the file holds no object",
        "d.yaml:3:19: metadata.name: Service default/hello is also at c.yaml:1:1",
        "e.yaml:1:1: the file is not text in UTF-8",
        "nowhere:1:1: no such file or directory",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[test]
fn an_empty_directory_is_an_error() {
    let folder = Folder::new();
    let problems = read(&[folder.0.path().to_owned()], Defaults::default()).unwrap_err();
    assert!(
        problems[0].message.contains("has no .yaml, .yml or .json file"),
        "{problems:?}"
    );
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let problems = read(&["/dev/null".into()], Defaults::default()).unwrap_err();
    assert!(
        problems[0].message.contains("it is not a regular file"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn edits_take_effect_whichever_way_they_are_written() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1"));
    let mut watcher = folder.open(".").await;
    folder.write("a.yaml", &service("hello", "2"));
    until(&mut watcher, "hello=2").await;
    folder.replace("a.yaml", &service("hello", "3"));
    until(&mut watcher, "hello=3").await;
    fs::remove_file(folder.path("a.yaml")).unwrap();
    folder.write("a.yaml", &service("hello", "4"));
    until(&mut watcher, "hello=4").await;
    folder.write("b.yaml", &service("other", "1"));
    until(&mut watcher, "hello=4 other=1").await;
}

#[tokio::test]
async fn a_single_file_is_followed_through_replacement() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1"));
    folder.write("b.yaml", &service("other", "1"));
    let mut watcher = folder.open("a.yaml").await;
    folder.replace("a.yaml", &service("hello", "2"));
    until(&mut watcher, "hello=2").await;
    folder.write("a.yaml", &service("hello", "3"));
    until(&mut watcher, "hello=3").await;
}

#[tokio::test]
async fn a_half_written_file_changes_nothing_until_it_is_whole() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1"));
    let mut watcher = folder.open("a.yaml").await;
    let whole = service("hello", "2");
    folder.write("a.yaml", whole.get(..40).unwrap());
    let told = problems(&mut watcher).await;
    assert!(told.contains("a.yaml:"), "{told}");
    folder.write("a.yaml", "");
    let told = problems(&mut watcher).await;
    assert!(told.contains("the file holds no object"), "{told}");
    folder.write("a.yaml", &whole);
    until(&mut watcher, "hello=2").await;
}

#[tokio::test]
async fn what_a_file_lacks_goes_and_so_does_a_deleted_file() {
    let folder = Folder::new();
    let both = format!("{}---\n{}", service("hello", "1"), service("other", "1"));
    folder.write("a.yaml", &both);
    let mut watcher = folder.open(".").await;
    folder.write("a.yaml", &service("hello", "1"));
    until(&mut watcher, "hello=1").await;
    fs::remove_file(folder.path("a.yaml")).unwrap();
    until(&mut watcher, "").await;
    folder.write("new.yaml", &service("new", "1"));
    until(&mut watcher, "new=1").await;
}

#[tokio::test]
async fn links_that_are_swapped_are_followed() {
    let folder = Folder::new();
    for version in ["1", "2"] {
        fs::create_dir(folder.path(&format!("..v{version}"))).unwrap();
        folder.write(&format!("..v{version}/a.yaml"), &service("hello", version));
    }
    // The way Kubernetes mounts a ConfigMap.
    symlink("..v1", folder.path("..data")).unwrap();
    symlink("..data/a.yaml", folder.path("a.yaml")).unwrap();
    let mut watcher = folder.open(".").await;
    symlink("..v2", folder.path("..next")).unwrap();
    fs::rename(folder.path("..next"), folder.path("..data")).unwrap();
    until(&mut watcher, "hello=2").await;
    folder.write("..v2/a.yaml", &service("hello", "3"));
    until(&mut watcher, "hello=3").await;
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_followed() {
    let folder = Folder::new();
    let make = |name: &str, image: &str| {
        fs::create_dir(folder.path(name)).unwrap();
        folder.write(&format!("{name}/a.yaml"), &service("hello", image));
    };
    make("dir", "1");
    make("next", "2");
    let mut watcher = folder.open("dir").await;
    fs::rename(folder.path("dir"), folder.path("old")).unwrap();
    fs::rename(folder.path("next"), folder.path("dir")).unwrap();
    until(&mut watcher, "hello=2").await;
    folder.write("dir/a.yaml", &service("hello", "3"));
    until(&mut watcher, "hello=3").await;
    fs::remove_dir_all(folder.path("dir")).unwrap();
    until(&mut watcher, "").await;
    make("dir", "4");
    until(&mut watcher, "hello=4").await;
}

#[tokio::test]
async fn without_a_watch_files_are_read_from_time_to_time() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1"));
    let reader = Reader::new(&[folder.path("a.yaml")], Defaults::default());
    let (mut watcher, objects) = Watcher::open_with(reader, Watch::absent()).await.unwrap();
    assert_eq!(shown(&objects), "hello=1");
    folder.write("a.yaml", &service("hello", "2"));
    until(&mut watcher, "hello=2").await;
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1"));
    let mut watcher = folder.open("a.yaml").await;
    folder.write("a.yaml", &service("hello", "2"));
    let seen = async {
        loop {
            // Dropped at every step of the way.
            if let Ok(change) = timeout(Duration::from_millis(1), watcher.next()).await {
                return change.objects.map(|objects| shown(&objects));
            }
        }
    };
    assert_eq!(timeout(PATIENCE, seen).await.unwrap().as_deref(), Some("hello=2"));
}

#[tokio::test]
async fn reading_the_files_is_no_change() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("hello", "1"));
    let mut watcher = folder.open("a.yaml").await;
    fs::read(folder.path("a.yaml")).unwrap();
    let places: &Path = folder.0.path();
    fs::read_dir(places).unwrap().count();
    // The next thing that is seen is the edit, and it is the first reading since.
    folder.write("a.yaml", &service("hello", "2"));
    until(&mut watcher, "hello=2").await;
    assert_eq!(watcher.pause.due(), None);
}
