use std::net::TcpListener;

use super::*;

const LISTEN: &str = "0A";

fn check(table: &str, port: u16, expected: &[u64]) {
    let sockets = table::parse(table.as_bytes()).expect("a table");
    assert_eq!(
        reached_by_loopback(&sockets, port),
        expected.iter().copied().collect()
    );
}

fn line(local: &str, state: &str, inode: u64) -> String {
    format!(
        "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 100 0 0 10 0\n"
    )
}

#[test]
fn the_socket_that_a_loopback_connection_reaches_is_found() {
    let header =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
    let exact = line("0100007F:0BB8", LISTEN, 11);
    let any = line("00000000:0BB8", LISTEN, 12);
    let other_address = line("0100A8C0:0BB8", LISTEN, 13);
    let other_port = line("0100007F:0BB9", LISTEN, 14);
    let connected = line("0100007F:0BB8", "01", 15);
    check(
        &format!("{header}{any}{exact}{other_address}{other_port}{connected}"),
        3000,
        &[11],
    );
    check(&format!("{header}{any}{other_address}"), 3000, &[12]);
    check(
        &format!("{header}{other_address}{other_port}{connected}"),
        3000,
        &[],
    );
    check(header, 3000, &[]);
}

#[test]
fn reading_stops_at_the_first_connected_socket() {
    let broken_tail = "not a line of the table";
    let table = format!(
        "header\n{}{}{broken_tail}",
        line("0100007F:0BB8", LISTEN, 1),
        line("0100007F:1", "01", 2)
    );
    check(&table, 3000, &[1]);
}

#[test]
fn this_process_owns_the_socket_it_listens_on() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    assert_eq!(owner(address.port(), std::process::id()), Owner::Replica);
    assert!(listening(std::process::id()).contains(&address));
}

#[test]
fn where_nobody_listens_there_is_no_owner() {
    assert_eq!(owner(0, std::process::id()), Owner::Nobody);
}

#[test]
fn a_socket_of_another_tree_belongs_to_a_stranger() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "read line"])
        .stdin(std::process::Stdio::piped());
    let mut child = command.spawn().expect("sh");
    assert_eq!(owner(port, child.id()), Owner::Stranger);
    assert_eq!(listening(child.id()), []);
    drop(child.stdin.take());
    child.wait().expect("sh ends with its input");
}
