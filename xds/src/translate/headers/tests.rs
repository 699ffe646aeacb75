use envoy_types::pb::envoy::config::core::v3::HeaderValue as Pair;
use envoy_types::pb::google::protobuf::BoolValue;
use tidegate_proxy::route::MutationRule;

use super::*;

fn added(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(Pair {
            key: name.into(),
            value: value.into(),
            ..Pair::default()
        }),
        ..HeaderValueOption::default()
    }
}

fn read(add: &[HeaderValueOption], remove: &[String]) -> (Result<HeaderMutations, Reject>, usize) {
    let lists = HeaderLists {
        request_add: add,
        request_remove: remove,
        ..HeaderLists::default()
    };
    let mut notes = Notes::default();
    let mutations = lists.mutations(&mut notes);
    (mutations, notes.into_list().len())
}

#[test]
fn what_envoy_refuses_is_refused_in_its_words() {
    let check = |name: &str, value: &str, expected: &str| {
        let refused = read(&[added(name, value)], &[]).0.unwrap_err();
        assert_eq!(refused, Reject::Resource(expected.into()), "{name}: {value}");
    };
    let pseudo = ":-prefixed or host headers may not be modified";
    check("Host", "a", pseudo);
    check(":path", "/", pseudo);
    check("a", "%BOGUS%", "Not supported field in StreamInfo: BOGUS");
    let misplaced = |value: &str, place: usize| {
        format!("Incorrect configuration: {value}. Couldn't find valid command at position {place}")
    };
    for (value, place) in [("100% sure", 3), ("100%", 3), ("%REQ(x%", 0), ("%%%", 2)] {
        check("a", value, &misplaced(value, place));
    }
    check("a", "%REQ%", "REQ requires parameters");
    let removed = read(&[], &["hOst".to_owned()]).0.unwrap_err();
    let text = ":-prefixed or host headers may not be removed";
    assert_eq!(removed, Reject::Resource(text.into()));
}

#[test]
#[expect(deprecated, reason = "the deprecated form is what is tested")]
fn both_ways_to_say_append_exclude_each_other() {
    let mut option = added("a", "b");
    option.append = Some(BoolValue { value: false });
    assert_eq!(write(&option), Ok(Write::Overwrite));
    option.append = Some(BoolValue { value: true });
    assert_eq!(write(&option), Ok(Write::Append));
    option.append_action = HeaderAppendAction::AddIfAbsent.into();
    let text = "Both append and append_action are set and it's not allowed";
    assert_eq!(write(&option), Err(Reject::Resource(text.into())));
}

#[test]
fn what_cannot_be_written_is_noted_and_what_is_empty_is_left_out() {
    let check = |option: HeaderValueOption, written: usize, noted: usize| {
        let (mutations, notes) = read(std::slice::from_ref(&option), &[]);
        assert_eq!(usize::from(!mutations.unwrap().is_empty()), written, "{option:?}");
        assert_eq!(notes, noted, "{option:?}");
    };
    check(added("a", "%REQ(b?c):3% %% %PROTOCOL%"), 1, 0);
    check(added("a", "%START_TIME(%s.%3f)%"), 1, 0);
    check(added("a", "%START_TIME% %START_TIME(%Y/%m/%dT%H)%"), 1, 0);
    check(added("a", "%UPSTREAM_HOST%"), 0, 1);
    check(added("connection", "close"), 0, 1);
    check(added("a b", "c"), 0, 1);
    check(added("a", ""), 0, 0);
    let kept = HeaderValueOption {
        keep_empty_value: true,
        ..added("a", "")
    };
    check(kept, 1, 0);
}

#[test]
fn what_was_to_replace_a_field_and_cannot_be_written_takes_it_away() {
    let removed = |action: HeaderAppendAction, name: &str| {
        let option = HeaderValueOption {
            append_action: action.into(),
            ..added(name, "%DOWNSTREAM_PEER_SUBJECT%")
        };
        let (mutations, notes) = read(&[option], &[]);
        assert_eq!(notes, 1);
        let mutations = mutations.unwrap();
        let rules = mutations.request().iter().map(Mutation::rule);
        rules.filter(|rule| matches!(rule, MutationRule::Remove)).count()
    };
    assert_eq!(
        removed(HeaderAppendAction::OverwriteIfExistsOrAdd, "x-subject"),
        1
    );
    assert_eq!(removed(HeaderAppendAction::OverwriteIfExists, "x-subject"), 1);
    assert_eq!(removed(HeaderAppendAction::AppendIfExistsOrAdd, "x-subject"), 0);
    assert_eq!(
        removed(HeaderAppendAction::OverwriteIfExistsOrAdd, "connection"),
        0
    );
}
