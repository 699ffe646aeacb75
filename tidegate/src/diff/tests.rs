//! The exit codes.

use std::io::Write as _;

use super::*;

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

#[test]
fn the_exit_code_says_whether_there_is_a_difference() {
    let check = |before: &str, after: &str, expected: Result<u8, u8>| {
        let (before, after) = (file(before), file(after));
        let args = DiffArgs {
            before: before.path().to_owned(),
            after: after.path().to_owned(),
            output: Output::Text,
        };
        let found = run(&args).map(|(_, code)| code);
        assert_eq!(found.map_err(|failure| failure.exit_code()), expected);
    };
    let (one, other) = (
        "static_resources: {clusters: [{name: a}]}\n",
        "static_resources: {clusters: [{name: b}]}\n",
    );
    check(one, one, Ok(0));
    check(one, other, Ok(1));
    check(one, "nonsense: 1\n", Err(65));
}
