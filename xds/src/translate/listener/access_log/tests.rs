use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::SubstitutionFormatString;
use envoy_types::pb::envoy::config::core::v3::substitution_format_string::Format as Kind;
use envoy_types::pb::google::protobuf::{Struct, Value, value};
use envoy_types::util::pack_any;

use super::*;
use crate::translate::Note;

fn read(log: &pb::AccessLog) -> (Result<Vec<AccessLog>, Reject>, Vec<Note>) {
    let mut notes = Notes::default();
    let read = logs(std::slice::from_ref(log), &Context::default(), &mut notes);
    (read, notes.into_list())
}

fn to_stdout(format: Option<Kind>) -> pb::AccessLog {
    use stream::stdout_access_log::AccessLogFormat;
    let format = format.map(|format| {
        AccessLogFormat::LogFormat(SubstitutionFormatString {
            format: Some(format),
            ..SubstitutionFormatString::default()
        })
    });
    let log = stream::StdoutAccessLog {
        access_log_format: format,
    };
    with_config(pack_any(log))
}

fn with_config(config: Any) -> pb::AccessLog {
    pb::AccessLog {
        name: "zzz".to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..pb::AccessLog::default()
    }
}

#[expect(deprecated, reason = "it is the shortest way to say it")]
fn text(format: &str) -> Kind {
    Kind::TextFormat(format.to_owned())
}

fn json(format: &str) -> Kind {
    let kind = Some(value::Kind::StringValue(format.to_owned()));
    Kind::JsonFormat(Struct {
        fields: [("a".to_owned(), Value { kind })].into(),
    })
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let check = |log: &pb::AccessLog, expected: &str| {
        assert_eq!(read(log).0.unwrap_err().to_string(), expected);
    };
    let bogus = "Not supported field in StreamInfo: BOGUS";
    check(&to_stdout(Some(text("a %BOGUS% b"))), bogus);
    check(&to_stdout(Some(json("%BOGUS%"))), bogus);
    check(
        &to_stdout(Some(text("%REQ(a"))),
        "Incorrect configuration: %REQ(a. Couldn't find valid command at position 0",
    );
    let file = |path: &str| {
        with_config(pack_any(FileAccessLog {
            path: path.to_owned(),
            access_log_format: None,
        }))
    };
    check(
        &file("/nonexistent/x"),
        "unable to open file '/nonexistent/x': No such file or directory",
    );
    check(
        &file(""),
        "Proto constraint validation failed (FileAccessLogValidationError.Path: value length must be at least 1 characters)",
    );
    let unknown = Any {
        type_url: "type.googleapis.com/google.protobuf.Struct".to_owned(),
        value: Vec::new(),
    };
    check(
        &with_config(unknown),
        "Didn't find a registered implementation for 'zzz' with type URL: 'google.protobuf.Struct'",
    );
}

#[test]
fn a_log_with_the_default_format_is_whole_and_one_with_a_command_of_envoys_goes_without_it() {
    let (log, notes) = read(&to_stdout(None));
    assert_eq!((log.unwrap().len(), notes.len()), (1, 0));
    for format in [
        text("%DYNAMIC_METADATA(a:b):3% %PROTOCOL%"),
        json("%UPSTREAM_METADATA(a)%"),
    ] {
        let (log, notes) = read(&to_stdout(Some(format)));
        assert_eq!((log.unwrap().len(), notes.len()), (1, 1));
        assert_eq!(notes[0].path, "access_log[0]");
    }
}

#[test]
fn logs_to_one_file_share_it() {
    let directory = tempfile::tempdir().unwrap();
    let sinks = Sinks::default();
    let target = Target::File(directory.path().join("log"));
    let one = sinks.open(&target).unwrap();
    assert!(Arc::ptr_eq(&one, &sinks.open(&target).unwrap()));
    assert_eq!(sinks.all().len(), 1);
    drop(one);
    assert!(sinks.all().is_empty());
}

#[test]
fn comparisons_are_made_of_what_is_at_least() {
    let shown = |op, value| {
        let filter = compared(op, value, |value| {
            Filter::StatusAtLeast(u16::try_from(value).unwrap())
        });
        format!("{filter:?}")
    };
    assert_eq!(shown(Op::Ge, 500), "StatusAtLeast(500)");
    assert_eq!(shown(Op::Le, 499), "Not(StatusAtLeast(500))");
    assert_eq!(
        shown(Op::Eq, 404),
        "All([StatusAtLeast(404), Not(StatusAtLeast(405))])"
    );
}
