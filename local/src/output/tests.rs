use std::io::Write;
use std::sync::mpsc;

use super::*;
use crate::limits::OUTPUT_QUEUE_LINES_MAX;

const PATIENCE: Duration = Duration::from_secs(10);

/// A terminal in memory.
#[derive(Clone, Debug, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("unpoisoned").clone()).expect("text")
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A terminal that takes its first write, says so, and writes on only when it is told.
struct SlowScreen {
    screen: Screen,
    busy: mpsc::Sender<()>,
    go_on: mpsc::Receiver<()>,
}

impl Write for SlowScreen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Once the test has dropped its ends, the terminal is fast.
        let _unheard = self.busy.send(()).is_err();
        let _told_by_dropping = self.go_on.recv().is_err();
        self.screen.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn lines_carry_their_replicas_name_and_events_stand_between_them() {
    let screen = Screen::default();
    let terminal = Terminal::start(screen.clone()).expect("a thread");
    let replica = terminal.replica(&"hello/hello-00001/1");
    replica.pump(&b"listening\n\x1b[2Jready"[..]).await;
    terminal.event("hello is ready");
    writeln!(terminal.writer(), "WARN two\nlines").expect("memory");
    assert!(terminal.close(PATIENCE));
    assert_eq!(
        screen.text(),
        "hello/hello-00001/1 | listening\nhello/hello-00001/1 | ready\nhello is ready\nWARN two\nlines\n"
    );
}

#[test]
fn the_tail_keeps_the_last_lines_without_colours() {
    let terminal = Terminal::start(io::sink()).expect("a thread");
    let replica = terminal.replica(&"a");
    for number in 0..OUTPUT_TAIL_LINES + 5 {
        replica.line(&format!("\u{1b}[31m{number}"));
    }
    let tail = replica.tail();
    assert_eq!(tail.len(), OUTPUT_TAIL_LINES);
    assert_eq!(
        (tail[0].as_str(), tail[OUTPUT_TAIL_LINES - 1].as_str()),
        ("5", "24")
    );
}

#[test]
fn a_slow_terminal_costs_lines_and_says_how_many() {
    let screen = Screen::default();
    let (busy, is_busy) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let slow = SlowScreen {
        screen: screen.clone(),
        busy,
        go_on: may_go_on,
    };
    let terminal = Terminal::start(slow).expect("a thread");
    let replica = terminal.replica(&"a/a-1/1");
    replica.line("first");
    is_busy
        .recv_timeout(PATIENCE)
        .expect("the terminal hangs in its first write");
    for _ in 0..OUTPUT_QUEUE_LINES_MAX + 3 {
        replica.line("more");
    }
    terminal.event("an event still passes");
    drop(go_on);
    assert!(terminal.close(PATIENCE));
    let text = screen.text();
    assert_eq!(
        text.lines().filter(|line| *line == "a/a-1/1 | more").count(),
        OUTPUT_QUEUE_LINES_MAX
    );
    assert!(text.contains("an event still passes\n"));
    assert!(
        text.ends_with("a/a-1/1 | (3 lines dropped): the terminal is slower than this output\n"),
        "{text}"
    );
}

#[test]
fn a_terminal_that_hangs_does_not_hold_up_the_end() {
    let (busy, is_busy) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let slow = SlowScreen {
        screen: Screen::default(),
        busy,
        go_on: may_go_on,
    };
    let terminal = Terminal::start(slow).expect("a thread");
    terminal.event("stuck");
    is_busy.recv_timeout(PATIENCE).expect("the terminal hangs");
    assert!(!terminal.close(Duration::from_millis(1)));
    drop(go_on);
}

#[test]
fn a_closed_pipe_swallows_the_rest() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let terminal = Terminal::start(writer).expect("a thread");
    terminal.event("nobody reads this");
    terminal.event("nor this");
    assert!(terminal.close(PATIENCE));
}
