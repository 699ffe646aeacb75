use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tidegate_controller::ObjectName;
use tidegate_controller::state::ConfigurationState;

use super::*;
use crate::limits::TERMINAL_FLUSH;

/// A terminal in memory.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Place {
    folder: TempDir,
    screen: Screen,
    terminal: Terminal,
}

impl Place {
    fn new() -> Self {
        let screen = Screen::default();
        let terminal = Terminal::start(screen.clone()).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            screen,
            terminal,
        }
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("deep/state")
    }

    fn open(&self) -> Result<StateDir, StateError> {
        StateDir::open(Some(&self.directory()), &[], &self.terminal)
    }

    /// What the terminal was told until now. Nothing more is written after this.
    fn told(&self) -> String {
        assert!(self.terminal.close(TERMINAL_FLUSH));
        String::from_utf8(self.screen.0.lock().unwrap().clone()).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory()).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn some_state() -> State {
    let known = ConfigurationState {
        generation: 7,
        ..ConfigurationState::default()
    };
    State {
        configurations: [(ObjectName::new("default", "hello"), known)].into(),
        ..State::default()
    }
}

#[test]
fn state_is_there_for_the_next_run() {
    let place = Place::new();
    let first = place.open().unwrap();
    assert_eq!(*first.stored(), State::default());
    first.save(&some_state()).unwrap();
    drop(first);
    assert_eq!(*place.open().unwrap().stored(), some_state());
    assert_eq!(place.files(), ["lock", "state.json"], "nothing is left beside it");
}

#[test]
fn nobody_else_may_read_it() {
    let place = Place::new();
    let dir = place.open().unwrap();
    dir.save(&some_state()).unwrap();
    dir.begin_instance(&Instance::generate()).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.directory()), 0o700);
    for name in place.files() {
        assert_eq!(mode(&dir.directory().join(&name)), 0o600, "{name}");
    }
}

#[test]
fn two_runs_never_share_a_directory() {
    let place = Place::new();
    let first = place.open().unwrap();
    let message = place.open().unwrap_err().to_string();
    let (directory, id) = (place.directory(), std::process::id());
    assert_eq!(
        message,
        format!(
            "state directory {} is in use by another tidegate (process {id}): end it, or name another directory \
             with --state-dir",
            directory.display()
        )
    );
    drop(first);
    place.open().unwrap();
}

#[test]
fn a_damaged_state_is_kept_aside_and_told() {
    let place = Place::new();
    drop(place.open().unwrap());
    std::fs::write(place.directory().join("state.json"), "{\"format\":1").unwrap();
    let dir = place.open().unwrap();
    assert_eq!(*dir.stored(), State::default());
    let files = place.files();
    let aside = files
        .iter()
        .find(|name| name.starts_with("state.json.corrupt-"))
        .unwrap();
    let kept = std::fs::read_to_string(place.directory().join(aside)).unwrap();
    assert_eq!(kept, "{\"format\":1");
    let told = place.told();
    assert!(
        told.contains("is damaged, or not a state file of tidegate; it is kept as"),
        "{told}"
    );
    assert!(told.contains(aside.as_str()), "{told}");
}

#[test]
fn the_run_before_is_known_by_its_id() {
    let place = Place::new();
    let (first, second) = (Instance::generate(), Instance::generate());
    assert_eq!(place.open().unwrap().begin_instance(&first).unwrap(), None);
    assert_eq!(
        place.open().unwrap().begin_instance(&second).unwrap(),
        Some(first)
    );
    std::fs::write(place.directory().join("instance"), "nonsense").unwrap();
    assert_eq!(place.open().unwrap().begin_instance(&second).unwrap(), None);
}

#[test]
fn a_directory_that_cannot_be_made_is_told_with_a_way_out() {
    let place = Place::new();
    std::fs::write(place.folder.path().join("deep"), "a file").unwrap();
    let message = place.open().unwrap_err().to_string();
    assert!(
        message.starts_with("cannot make the state directory "),
        "{message}"
    );
    assert!(
        message.ends_with("(--state-dir names another directory)"),
        "{message}"
    );
}
